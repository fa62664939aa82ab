"""Image files are converted to RGB by documented rules."""

import os
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from lpips_repro import load_image
from lpips_repro.errors import UserError
from lpips_repro.images import read_rgb


@pytest.fixture
def colors() -> np.ndarray:
    """An RGB image (5, 7, 3) of random values."""
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def save(path, pixels, mode=None, **settings):
    """Write an image file with Pillow; return its path."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **settings)
    return path


def test_an_image_is_an_input_of_lpips(tmp_path, colors):
    found = load_image(str(save(tmp_path / "a.png", colors)))
    assert (found.shape, found.dtype) == ((1, 3, 5, 7), torch.float32)
    wanted = colors.astype(np.float64).transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_lossless_formats_keep_their_bytes(tmp_path, colors, suffix):
    path = save(tmp_path / f"a.{suffix}", colors, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(read_rgb(path), colors)


def test_jpeg_is_as_pillow_decodes_it(tmp_path, colors):
    path = save(tmp_path / "a.jpg", colors)
    np.testing.assert_array_equal(read_rgb(path), np.asarray(Image.open(path)))


def test_gray_is_the_same_in_all_channels(tmp_path, colors):
    gray = colors[..., 0]
    np.testing.assert_array_equal(read_rgb(save(tmp_path / "a.png", gray)), gray[..., None].repeat(3, axis=2))


def test_a_palette_is_its_colors(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    np.testing.assert_array_equal(read_rgb(save(tmp_path / "a.png", image)), [[[40, 50, 60], [10, 20, 30]]])


def test_transparent_pixels_show_the_background(tmp_path):
    pixels = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    path = save(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_rgb(path), [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]])
    np.testing.assert_array_equal(read_rgb(path, "black"), [[[200, 100, 0], [0, 0, 0], [40, 20, 0]]])
    np.testing.assert_array_equal(read_rgb(path, "#000064")[0, 1], [0, 0, 100])


def test_a_transparent_color_of_a_palette_shows_the_background(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    path = save(tmp_path / "a.png", image, transparency=0)
    np.testing.assert_array_equal(read_rgb(path), [[[40, 50, 60], [255, 255, 255]]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_the_exif_orientation_is_applied(tmp_path, colors, orientation, deep):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", colors, exif=exif)
    upright = {
        **{1: colors, 2: colors[:, ::-1], 3: colors[::-1, ::-1], 4: colors[::-1], 5: colors.swapaxes(0, 1)},
        **{6: np.rot90(colors, -1), 7: colors.swapaxes(0, 1)[::-1, ::-1], 8: np.rot90(colors)},
    }[orientation]
    if deep:
        path = deep_copy_of(path, colors)
        upright = upright.astype(np.uint16) * 257
    np.testing.assert_array_equal(read_rgb(path), upright)


def deep_copy_of(path, pixels):
    """Write a PNG of 16 bits per channel with the EXIF data of another PNG; return its path."""
    content = cv2.imencode(".png", pixels[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    exif = path.read_bytes()
    start = exif.index(b"eXIf") - 4
    length = int.from_bytes(exif[start : start + 4], "big") + 12
    end_of_header = 8 + 25
    deep = path.with_name("deep.png")
    deep.write_bytes(content[:end_of_header] + exif[start : start + length] + content[end_of_header:])
    return deep


def test_cmyk_is_as_pillow_converts_it(tmp_path, colors):
    path = save(tmp_path / "a.jpg", colors, "CMYK")
    np.testing.assert_array_equal(read_rgb(path), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bits_are_kept(tmp_path, suffix):
    pixels = np.random.default_rng(1).integers(0, 65536, (4, 6, 3), dtype=np.uint16)
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), pixels[..., ::-1])
    found = read_rgb(path)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_allclose(load_image(path)[0].permute(1, 2, 0), pixels / 32767.5 - 1, atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bits_of_gray_are_kept(tmp_path, suffix):
    pixels = np.random.default_rng(1).integers(0, 65536, (4, 6), dtype=np.uint16)
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), pixels)
    np.testing.assert_array_equal(read_rgb(path), pixels[..., None].repeat(3, axis=2))


def test_16_bits_with_alpha_show_the_background(tmp_path):
    pixels = np.array([[[60000, 30000, 0, 65535], [60000, 30000, 0, 0]]], np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., [2, 1, 0, 3]])
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), [[[60000, 30000, 0], [65535, 65535, 65535]]])


def test_16_bits_of_a_tiff_with_white_as_0_are_inverted(tmp_path):
    pixels = DEEP[..., 0]
    path = deep_tiff(tmp_path / "a.tif", 65535 - pixels, photometric="miniswhite")
    np.testing.assert_array_equal(read_rgb(path), pixels[..., None].repeat(3, axis=2))


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", "unspecified"])
def test_16_bits_of_a_tiff_have_the_alpha_of_its_tags(tmp_path, kind):
    pixels = np.array([[[60000, 30000, 0, 65535], [600, 300, 0, 6554]]], np.uint16)
    path = deep_tiff(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[kind])
    second = {"unassalpha": [59041, 59011, 58981], "assocalpha": [59581, 59281, 58981], "unspecified": [600, 300, 0]}
    np.testing.assert_allclose(read_rgb(path)[0], [[60000, 30000, 0], second[kind]], atol=1)


def png_of(kind, pixels, before=b""):
    """The content of a PNG of 16 bits. Kinds: 0 gray, 2 RGB, 4 gray with alpha."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind, 0, 0, 0)
    parts = (chunk(b"IHDR", header), before and chunk(b"tRNS", before), chunk(b"IDAT", zlib.compress(rows)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def test_16_bits_of_gray_with_alpha_show_the_background(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_of(4, np.array([[[500, 65535], [500, 0]]])))
    np.testing.assert_array_equal(read_rgb(path), [[[500] * 3, [65535] * 3]])


@pytest.mark.parametrize(("kind", "pixel"), [(0, [1000]), (2, [1000, 2000, 3000])])
def test_a_transparent_color_of_16_bits_shows_the_background(tmp_path, kind, pixel):
    path = tmp_path / "a.png"
    other = [one + 1 for one in pixel]
    path.write_bytes(png_of(kind, np.array([[pixel, other]]), np.array(pixel).astype(">u2").tobytes()))
    np.testing.assert_array_equal(read_rgb(path, "black"), [[[0] * 3, other if kind else other * 3]])


def test_cmyk_of_adobe_is_not_inverted(tmp_path):
    path = save(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (255, 0, 0, 0)), quality=95)  # with Adobe's marker
    assert b"Adobe" in path.read_bytes()
    np.testing.assert_allclose(read_rgb(path), np.broadcast_to([0, 255, 255], (16, 16, 3)), atol=2)


def test_of_a_jpeg_with_further_images_the_first_is_used(tmp_path, colors):
    first, second = Image.fromarray(colors), Image.fromarray(255 - colors)
    path = save(tmp_path / "phone.jpg", first, format="MPO", save_all=True, append_images=[second])
    assert Image.open(path).n_frames == 2
    np.testing.assert_array_equal(read_rgb(path), read_rgb(save(tmp_path / "a.jpg", first)))


DEEP = np.random.default_rng(2).integers(0, 65536, (64, 64, 3), dtype=np.uint16)


def deep_tiff(path, pixels=DEEP, **settings):
    """Write a TIFF of 16 bits with tifffile; return its path."""
    is_planar = settings.get("planarconfig") == "separate"
    tifffile.imwrite(path, pixels.transpose(2, 0, 1) if is_planar else pixels, **settings)
    return path


def broken(path, content=None):
    """Write a file without its second half, by default a PNG."""
    if content is None:
        save(path, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), format="PNG")
        content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flipped(pixels, dtype=np.uint8):
    """The content of a PNG with a wrong byte in its compressed pixels."""
    pixels = pixels.astype(dtype)
    content = bytearray(cv2.imencode(".png", pixels)[1].tobytes())
    content[-200] ^= 255
    return content


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "a folder: expected an image file"),
        (lambda path: path.touch(), "an empty file"),
        (lambda path: os.mkfifo(path), "a pipe or device"),
        (lambda path: path.symlink_to(path), "symbolic links"),
        (lambda path: path.symlink_to("missing"), "no such file"),
        (
            lambda path: deep_tiff(path, photometric="rgb", planarconfig="separate"),
            "a TIFF of 16 bits with a plane per channel",
        ),
        (lambda path: broken(path, cv2.imencode(".png", DEEP)[1].tobytes()), "not a readable image"),
        (lambda path: broken(path, cv2.imencode(".tiff", DEEP)[1].tobytes()), "not a readable image"),
        (lambda path: path.write_text("text"), "not a readable image"),
        (broken, "not a readable image"),
        (lambda path: save(path, Image.new("RGB", (2, 2)), format="GIF"), "not a readable image"),
        (
            lambda path: save(path, np.zeros((2, 2), np.float32), format="TIFF"),
            "a TIFF of 1 x 32 bits, floating point, .*: expected a gray or RGB image",
        ),
        (lambda path: path.write_bytes(flipped(DEEP, np.uint16)), "broken data stream.*: restore the file"),
        (
            lambda path: path.write_bytes(flipped(DEEP)),
            "broken data stream.*: restore the file",
        ),
        *(
            (lambda path, kind=kind: tifffile.imwrite(path, np.zeros((9, 9), kind)), "signed integers.*: convert it")
            for kind in (np.int8, np.int16, np.int32)
        ),
        (
            lambda path: save(
                path,
                Image.new("RGB", (2, 2)),
                format="WEBP",
                save_all=True,
                append_images=[Image.new("RGB", (2, 2), 9)],
            ),
            "holds 2 images",
        ),
    ],
)
def test_a_file_that_is_not_one_image_is_an_error_that_names_it(tmp_path, write, what):
    path = tmp_path / "a.img"
    write(path)
    with pytest.raises(UserError, match=what) as error:
        read_rgb(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp", ".tif", ".bmp", "16.png", "16.tif"])
def test_damaged_files_are_read_or_an_error_of_one_line(tmp_path, colors, kind):
    path, rng = tmp_path / f"a{kind}", np.random.default_rng(3)
    exif = Image.Exif()
    exif[0x0112] = 6
    if kind.startswith("16"):
        cv2.imwrite(str(path), DEEP[:9, :9])
    else:
        save(path, colors, exif=exif)
    content = path.read_bytes()
    for _ in range(20):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(content), 400), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.integers(1, len(damaged))] if rng.random() < 0.2 else damaged)
        with warnings.catch_warnings(action="ignore"):
            try:
                found = read_rgb(path)
            except UserError as error:
                assert str(path) in str(error) and "\n" not in str(error)
            else:
                assert found.ndim == 3 and found.shape[2] == 3


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
def test_damaged_exif_and_color_profiles_are_ignored(tmp_path, colors, kind):
    plain = save(tmp_path / f"a.{kind}", colors)
    other = save(tmp_path / f"b.{kind}", colors, exif=b"Exif\0\0garbage", icc_profile=b"garbage")
    assert plain.read_bytes() != other.read_bytes()
    np.testing.assert_array_equal(read_rgb(other), read_rgb(plain))


def test_cielab_is_converted_to_srgb(tmp_path, colors):
    # By hand: linear sRGB to XYZ of D50 by the matrix of its ICC profile, then CIELAB, then rounded to 8 bits. Colors
    # far from black and from the limits of sRGB, since rounded CIELAB is coarse there.
    colors = colors // 4 + 96
    linear = ((colors / 255 + 0.055) / 1.055) ** 2.4
    matrix = [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
    x, y, z = np.cbrt(np.moveaxis(linear @ np.transpose(matrix) / [0.9642, 1, 0.8249], -1, 0))
    lab = np.stack([(116 * y - 16) * 2.55, 500 * (x - y), 200 * (y - z)], -1).round().astype(np.int16).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", lab, photometric="cielab")
    np.testing.assert_allclose(read_rgb(tmp_path / "a.tif"), colors, atol=4)


def test_an_unknown_background_color_is_an_error(tmp_path, colors):
    with pytest.raises(UserError, match="background=nocolor: expected a color"):
        read_rgb(save(tmp_path / "a.png", colors), "nocolor")
