"""Plain PNG files have the pixels that Pillow reads; everything else is left to Pillow."""

import io
import os
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from lpips_repro.errors import UserError
from lpips_repro.files.plain_png import MOST_SIDE, SIGNATURE, read_plain_png
from lpips_repro.images import read_rgb


def pixels(height, width, kind="noise"):
    rng = np.random.default_rng(0)
    if kind == "noise":
        return rng.integers(0, 256, (height, width, 3), np.uint8)
    ramp = np.add.outer(np.arange(height), np.arange(width))[..., None] * np.array([1, 2, 3])
    return (ramp + rng.integers(0, 3, ramp.shape)).astype(np.uint8)


def filtered(image, kind):
    """A PNG whose rows all have one of the five filters (0 to 4), written by the formulas of the specification."""
    height, width, _ = image.shape
    rows = np.pad(image.reshape(height, -1).astype(int), ((1, 0), (3, 0)))
    now, left, up, corner = rows[1:, 3:], rows[1:, :-3], rows[:-1, 3:], rows[:-1, :-3]
    estimate = left + up - corner
    nearest = np.stack([abs(estimate - one) for one in (left, up, corner)]).argmin(axis=0)
    predicted = [0 * now, left, up, (left + up) // 2, np.choose(nearest, (left, up, corner))][kind]
    data = np.pad(((now - predicted) % 256).astype(np.uint8), ((0, 0), (1, 0)), constant_values=kind).tobytes()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 2, 0, 0, 0))
    return png((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))


def png(*chunks):
    """A PNG file of chunks (kind, content) with their checksums."""
    made = [
        len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
        for kind, content in chunks
    ]
    return SIGNATURE + b"".join(made)


def by_pillow(file):
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("kind", range(5))
def test_every_filter_is_undone(tmp_path, kind):
    image = pixels(13, 9, "smooth")
    file = tmp_path / "a.png"
    file.write_bytes(filtered(image, kind))
    assert np.array_equal(read_plain_png(file), image)
    assert np.array_equal(by_pillow(file), image)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (64, 64), (255, 257)])
@pytest.mark.parametrize("content", ["noise", "smooth"])
@pytest.mark.parametrize("settings", [{}, {"optimize": True}, {"compress_level": 0}, {"dpi": (300, 300)}])
def test_what_pillow_writes_is_read_as_pillow_reads_it(tmp_path, size, content, settings):
    image = pixels(*size, content)
    file = tmp_path / "a.PNG"
    Image.fromarray(image).save(file, **settings)
    found = read_plain_png(file)
    assert found.dtype == np.uint8
    assert np.array_equal(found, image)
    assert np.array_equal(read_rgb(file), image)


def text(key, value, compressed=False):
    info = PngImagePlugin.PngInfo()
    info.add_text(key, value, zip=compressed)
    return info


def orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


IMAGE = Image.fromarray(pixels(6, 8))
OTHERS = {
    "gray": lambda file: IMAGE.convert("L").save(file),
    "palette": lambda file: IMAGE.convert("P").save(file),
    "alpha": lambda file: IMAGE.convert("RGBA").save(file),
    "16 bits": lambda file: Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000).save(file),
    "one transparent color": lambda file: IMAGE.save(file, transparency=(0, 0, 0)),
    "exif orientation": lambda file: IMAGE.save(file, exif=orientation()),
    "orientation in XMP": lambda file: IMAGE.save(file, pnginfo=text("XML:com.adobe.xmp", "<tiff:Orientation=6>")),
    "color profile": lambda file: IMAGE.save(file, icc_profile=b"profile"),
    "animation": lambda file: IMAGE.save(file, save_all=True, append_images=[IMAGE.rotate(180)]),
    "JPEG under this name": lambda file: IMAGE.save(file, format="JPEG"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_left_to_pillow(tmp_path, kind):
    OTHERS[kind](tmp_path / "a.png")
    assert read_plain_png(tmp_path / "a.png") is None


def test_interlaced_files_are_left_to_pillow(tmp_path):
    whole = bytearray(filtered(pixels(4, 4), 0))
    whole[28] = 1  # the interlace method
    whole[29:33] = zlib.crc32(whole[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(whole)
    assert read_plain_png(tmp_path / "a.png") is None


def test_damaged_files_are_reported_by_pillow_alone(tmp_path, capfd):
    image = pixels(20, 30)
    whole = filtered(image, 4)
    file = tmp_path / "a.png"
    for length in (0, 8, 20, 40, len(whole) // 2, len(whole) - 13, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert read_plain_png(file) is None
    for position in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[position] ^= 255
        file.write_bytes(changed)
        assert read_plain_png(file) is None
    file.write_bytes(whole + b"more")
    assert read_plain_png(file) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("data", [zlib.compress(bytes(13)), b"no compression", zlib.compress(bytes([9] * 52))])
def test_wrong_data_with_a_right_checksum_are_an_error(tmp_path, data):
    header = bytes.fromhex("00000004 00000004 08 02 00 00 00")
    (tmp_path / "a.png").write_bytes(png((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")))
    with pytest.raises(UserError, match=r"a\.png: not a readable image \(wrong or too few data"):
        read_rgb(tmp_path / "a.png")


def test_sides_that_libpng_refuses_are_left_to_pillow(tmp_path):
    file = tmp_path / "a.png"
    Image.new("RGB", (MOST_SIDE + 1, 1), "red").save(file)
    assert read_plain_png(file) is None
    assert read_rgb(file).shape == (1, MOST_SIDE + 1, 3)


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")  # opening it would wait for its writer
    assert read_plain_png(tmp_path / "a.png") is None
    assert read_plain_png(tmp_path / "missing.png") is None
    assert read_plain_png(tmp_path) is None


def test_the_name_of_other_formats_is_respected(tmp_path):
    content = io.BytesIO()
    IMAGE.save(content, format="PNG")
    (tmp_path / "a.jpg").write_bytes(content.getvalue())
    assert read_plain_png(tmp_path / "a.jpg") is None
    assert np.array_equal(read_rgb(tmp_path / "a.jpg"), np.asarray(IMAGE))
