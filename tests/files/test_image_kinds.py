"""Files that are not read are named by what they are."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lpips_repro.errors import UserError
from lpips_repro.files.decoding import open_image
from lpips_repro.files.image_kinds import kind_of
from lpips_repro.images import read_rgb


def content(kind):
    """The content of an image as Pillow writes it."""
    file = io.BytesIO()
    Image.fromarray(np.arange(64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((kind, kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "DDS", "ICO", "PDF", "AVIF")),
        ("JPEG2000", "JPEG 2000"),
        ("PPM", "PNM or PFM"),
        ("EPS", "PostScript"),
    ],
)
def test_an_image_is_known_by_its_first_bytes(kind, name):
    assert kind_of(content(kind)) == (name, True)


@pytest.mark.parametrize(
    ("first", "name"),
    [
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"\0\0\0\x18ftypisom", "a video"),
        (b"\x93NUMPY", "a NumPy array"),
        (b"text", ""),
        (b"", ""),
    ],
)
def test_other_files_are_no_images(first, name):
    kind, is_image = kind_of(first)
    assert kind.startswith(name) and bool(kind) == bool(name) and not is_image


def reason(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(UserError) as error:
        read_rgb(path)
    return str(error.value).removeprefix(f"{path}: not a readable image ")


def test_another_format_is_to_be_converted_and_another_file_to_be_restored(tmp_path):
    formats = "no PNG or JPEG or WEBP or BMP or TIFF"
    convert = "convert it to an 8- or 16-bit PNG"
    assert reason(tmp_path / "a.png", content("AVIF")) == f"({formats}, but AVIF): {convert}"
    assert reason(tmp_path / "a.png", b"<html>") == f"({formats}, but a web page): restore the file"
    assert reason(tmp_path / "a.png", b"text") == f"({formats}): restore the file"


def test_a_damaged_header_says_what_is_damaged(tmp_path):
    data = bytearray(content("PNG"))
    data[29] ^= 1  # the checksum of the header
    assert reason(tmp_path / "a.jpg", data).startswith(
        "(damaged PNG: broken PNG file (bad header checksum in b'IHDR'))"
    )
    with pytest.raises(UserError, match="damaged PNG"), open_image(Path("a.png"), ("PNG",), io.BytesIO(data)):
        pass


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("dtype", "samples"),
    [("float16", "16 bits, floating point"), ("float32", "32 bits, floating point"), ("int32", "32 bits, signed")],
)
def test_a_tiff_that_is_not_read_is_described(tmp_path, dtype, samples, big):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9, 3), dtype), photometric="rgb", bigtiff=big)
    data = (tmp_path / "a.tif").read_bytes()
    found = reason(tmp_path / "a.tif", data)
    assert f"a TIFF of 3 x {samples}" in found and found.endswith("convert it to an 8- or 16-bit PNG")


def test_a_tiff_without_its_end_is_damaged(tmp_path):
    data = content("TIFF")  # Pillow writes the list of tags last
    found = reason(tmp_path / "a.tif", data[: len(data) // 2].replace(b"II*\0\x08\0\0\0", b"II*\0\xff\xff\0\0"))
    assert found.startswith("(damaged TIFF: ") and found.endswith("): restore the file")
