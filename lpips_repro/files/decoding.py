"""Image files, opened safely: documented formats only, 8 bits per channel."""

import contextlib
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

from lpips_repro.errors import UserError
from lpips_repro.files.image_kinds import BITS, why_unknown

BOMB = Image.DecompressionBombWarning  # callers check the size, before anything is decoded
# How Pillow calls the layout of channels of 16 bits or more in a file, which it cuts to 8 bits without a word. "BGR;16"
# is none of them: its pixels, not its channels, have 16 bits.
DEEP = (";16B", ";16L", ";16N", "I;", "F;")
ORIENTATION = 0x0112  # tag of EXIF
# What Pillow raises of damaged files.
DAMAGED = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError),
    struct.error,
)


@contextlib.contextmanager
def open_image(
    path: Path,
    formats: Sequence[str],
    content: BinaryIO | None = None,
    remedy: str = "restore the file",
    *,
    convert: str = "",
    deep: bool = False,
) -> Iterator[ImageFile.ImageFile]:
    """An image file, opened but not decoded yet.

    Only the decoders of these formats are tried, whatever the file is called. Some of Pillow's others start programs:
    that of EPS starts Ghostscript.

    Args:
        path: the file.
        formats: names of formats as Pillow has them, such as "PNG".
        content: what the file holds if it is in an archive; `path` is then its name alone, and the caller says what
            can be done about an error.
        remedy: what can be done about a file on disk.
        convert: what can be done about an image on disk that has another format; by default `remedy`.
        deep: whether more than 8 bits per channel are allowed: see `is_deep`.

    Raises:
        UserError: naming the file, if it is not a regular file, not of one of the formats, deeper than 8 bits per
            channel, or damaged. That includes what is raised while it is decoded inside the block.
    """
    advice = "" if content else f": {remedy}"
    if content is None and path.exists() and not path.is_file():
        raise UserError(f"{path}: not a regular file{advice}")  # to open a FIFO would be to wait for its writer
    try:
        with (
            warnings.catch_warnings(action="ignore", category=BOMB),
            Image.open(content or path, formats=list(formats)) as image,
        ):
            if is_deep(image) and not deep:
                raise UserError(f"{path}: more than 8 bits per channel: expected 8{advice}")
            yield image
    except UserError:
        raise
    except Image.UnidentifiedImageError:
        reason, is_image = why_unknown(content or path, formats)
        if is_image and convert:
            advice = f": {convert}"
        raise UserError(f"{path}: not a readable image ({reason}){advice}") from None
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: not a readable image ({error}): scale it down") from error
    except PermissionError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except DAMAGED as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: not a readable image ({reason}){advice}") from error


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether the file of an opened image has more than 8 bits per channel. Pillow cuts most of these to 8 bits."""
    bits = getattr(image, "tag_v2", {}).get(BITS, ())  # Pillow takes TIFF with a plane per channel for 8 bits
    return any(name in mode for mode in raw_modes(image) for name in DEEP) or any(count > 8 for count in bits)


def raw_modes(image: ImageFile.ImageFile) -> list[str]:
    """How Pillow calls the layouts of channels in the file of an opened image, such as "RGB;16B"."""
    return [str(tile[3][0] if isinstance(tile[3], tuple) else tile[3]) for tile in image.tile]


def orientation_of(image: ImageFile.ImageFile) -> int:
    """The EXIF orientation of a decoded image, from 1 to 8; 1 if there is none, or if the EXIF data is damaged."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except DAMAGED:
        return 1
    return found if found in range(1, 9) else 1
