"""PNG files of the most usual kind, decoded by OpenCV, which takes less time than Pillow. The pixels are the same.

Pillow reads all other files, and reports damaged ones: OpenCV would write a line of its own.
"""

import stat
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from lpips_repro.errors import UserError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER, DATA, END = b"IHDR", b"IDAT", b"IEND"
IGNORED = (b"pHYs", b"tIME")  # chunks that say nothing about the pixels
PLAIN = (8, 2, 0, 0, 0)  # bits per channel, RGB, and the only or simplest compression, filters and order of rows
# Of a file and of its pixels, and of a side, which libpng limits. Larger images are Pillow's, which checks their size.
MOST_BYTES, MOST_SIDE = 1 << 26, 1 << 16


def read_plain_png(path: Path) -> np.ndarray | None:
    """The pixels of a PNG file, uint8 (H, W, 3), or None if it needs Pillow.

    Pillow is needed for other color types and depths, transparency, metadata (an orientation, for example), several
    frames, more than 22 million pixels, and damaged files.

    Raises:
        UserError: if the data of the pixels are wrong or too few, although their checksum is right.
    """
    try:
        status = path.stat()
        if path.suffix.lower() != ".png" or not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    if not _is_plain(content):
        return None
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:  # Pillow accepts data with too few rows
        raise UserError(f"{path}: not a readable image (wrong or too few data of pixels): restore the file")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _is_plain(content: bytes) -> bool:
    """Whether a file is a whole PNG of which every pixel is three bytes, and which holds nothing else."""
    if not content.startswith(SIGNATURE):
        return False
    position, kinds = len(SIGNATURE), []
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        whole = memoryview(content)[position + 4 : end - 4]
        if end > len(content) or zlib.crc32(whole) != int.from_bytes(content[end - 4 : end]):
            return False
        if kind == HEADER and (length != 13 or not _fits(*struct.unpack_from(">II5B", content, position + 8))):
            return False
        kinds.append(kind)
        position = end
    rest = [kind for kind in kinds if kind not in IGNORED]
    return position == len(content) and rest == [HEADER, *[DATA] * (len(rest) - 2), END] and DATA in rest


def _fits(width: int, height: int, *layout: int) -> bool:
    return layout == PLAIN and 0 < width * height * 3 <= MOST_BYTES and max(width, height) <= MOST_SIDE
