"""Which image files are decoded, and which are refused before that."""

import io
import os
import stat
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from lpips_repro.datasets.mos.images import load_image
from lpips_repro.datasets.packing.patches import PatchForm, load_patch
from lpips_repro.errors import UserError
from lpips_repro.files.decoding import open_image
from lpips_repro.photographs.crops import crop_photograph

READERS = {
    "packing": lambda path: load_patch(path, PatchForm(64, "exact")),
    "an archive": lambda path: load_patch(path, PatchForm(64, "exact"), io.BytesIO(path.read_bytes())),
    "TID2013": lambda path: load_image(path, 64),
    "pretraining": lambda path: crop_photograph(path, 32, 1, 0),
}


def png(side: int, depth: int, color: int) -> bytes:
    """A PNG of zeros, as wide as high, of any bit depth and color type."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[color]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, color, 0, 0, 0))
    rows = (b"\0" + bytes(side * channels * depth // 8)) * side
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A file that is there once a program called gs has been started."""
    started, program = tmp_path / "started", tmp_path / "bin/gs"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nopen({str(started)!r}, 'w')\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return started


@pytest.mark.parametrize("reader", READERS)
def test_an_eps_starts_no_program_whatever_it_is_called(tmp_path, ghostscript, reader):
    path = tmp_path / "000000.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(UserError, match=r"000000\.png: not a readable image \(no PNG|000000\.png: not .*no .*PNG"):
        READERS[reader](path)
    assert not ghostscript.exists()


@pytest.mark.parametrize("reader", ["packing", "an archive", "TID2013"])
@pytest.mark.parametrize("suffix", ["GIF", "TIFF", "PPM", "ICO", "JPEG"])
def test_a_format_that_a_dataset_does_not_document_is_not_decoded(tmp_path, reader, suffix):
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 64)).save(path, format=suffix)
    with pytest.raises(UserError, match=r"a\.png: not a readable image \(no "):
        READERS[reader](path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("color", [0, 2, 4, 6])
def test_16_bits_per_channel_are_refused(tmp_path, reader, color):
    path = tmp_path / "deep.png"
    path.write_bytes(png(64, 8, color))
    if color in (0, 2):  # the same file of 8 bits is taken
        READERS[reader](path)
    path.write_bytes(png(64, 16, color))
    with pytest.raises(UserError, match=r"deep\.png: (more than 8 bits per channel|a PNG of mode|an image of mode)"):
        READERS[reader](path)


def test_a_deep_rgb_tiff_is_refused_too(tmp_path):
    path = tmp_path / "deep.tiff"
    rgb = np.zeros((40, 40, 3), np.uint16)
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(path, rgb)
    with pytest.raises(UserError, match=r"deep\.tiff: "):
        READERS["pretraining"](path)


def test_a_bitmap_of_16_bits_per_pixel_is_taken(tmp_path):
    path, side = tmp_path / "a.bmp", 40
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)  # 5, 6 and 5 bits
    size = side * side * 2
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 16, 3, size, 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 66 + size, 0, 0, 66) + info + masks + b"\x00\xf8" * (side * side))
    assert (READERS["pretraining"](path)[0] == (255, 0, 0)).all()


def test_an_image_in_an_archive_has_at_most_256_pixels_a_side(tmp_path):
    path = tmp_path / "a.png"
    for side in (256, 257):
        Image.new("RGB", (side, side)).save(path)
        READERS["packing"](path)
        if side == 256:
            READERS["an archive"](path)
    # Refused by its size alone: what follows the header is never looked at.
    path.write_bytes(png(4000, 8, 2)[:60])
    with pytest.raises(UserError, match="4000 x 4000 pixels: expected a square with sides of 64 to 256"):
        READERS["an archive"](path)


def test_a_narrow_image_is_not_enlarged_to_gigabytes(tmp_path):
    path = tmp_path / "i01.bmp"
    Image.new("RGB", (300, 1)).save(path)
    with pytest.raises(UserError, match=r"300 x 1 pixels, which is 153600 x 512 with a smaller side of 512"):
        load_image(path, 512)


@pytest.mark.parametrize("reader", ["packing", "TID2013", "pretraining"])
def test_a_pipe_is_not_waited_for(tmp_path, reader):
    path = tmp_path / "a.png"
    os.mkfifo(path)
    with pytest.raises(UserError, match=r"a\.png: not a regular file: restore"):
        READERS[reader](path)


def test_what_is_raised_while_decoding_names_the_file(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with (
        pytest.raises(UserError, match=r"a\.png: not a readable image \(.*\): restore the file"),
        open_image(path, ("PNG",)) as image,
    ):
        image.load()
