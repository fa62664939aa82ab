"""What a file is that cannot be opened as an image, by its first bytes: for messages."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, TiffImagePlugin

# The first bytes of files of other kinds that are found under the names of images.
IMAGES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
    b"GIF8": "GIF",
    **dict.fromkeys((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"), "JPEG 2000"),
    **dict.fromkeys((b"\0\0\0\x0cJXL ", b"\xff\x0a"), "JPEG XL"),
    b"v/1\x01": "OpenEXR",
    **dict.fromkeys((b"#?RADIANCE", b"#?RGBE"), "Radiance HDR"),
    b"8BPS": "Photoshop",
    b"DDS ": "DDS",
    b"\0\0\x01\0": "ICO",
    **dict.fromkeys((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"P7", b"PF", b"Pf"), "PNM or PFM"),
    b"<svg": "SVG",
    b"%!PS": "PostScript",
    b"%PDF": "PDF",
}
OTHERS = {
    b"\x93NUMPY": "a NumPy array",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a pointer of Git LFS (`git lfs pull` gets the file)",
    **dict.fromkeys((b"<!doctype html", b"<!DOCTYPE html", b"<html"), "a web page"),
}
BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF"}
SAMPLES = {1: "unsigned integers", 2: "signed integers", 3: "floating point"}
BITS, COMPRESSION, PHOTOMETRIC, CHANNELS, SAMPLE_FORMAT = 258, 259, 262, 277, 339  # tags of TIFF


def kind_of(first: bytes) -> tuple[str, bool]:
    """Return the kind of a file, or "", by its first bytes; and whether it is an image."""
    if first[4:8] == b"ftyp":
        kind = BRANDS.get(first[8:12], "")
        return kind or "a video", bool(kind)
    if first[:4] == b"RIFF":
        return ("WEBP", True) if first[8:12] == b"WEBP" else ("a video or sound", False)
    for kinds in (IMAGES, OTHERS):
        for start, kind in kinds.items():
            if first.startswith(start):
                return kind, kinds is IMAGES
    return "", False


def why_unknown(source: Path | BinaryIO, formats: Sequence[str]) -> tuple[str, bool]:
    """Say why Pillow does not know a file as one of the formats.

    Args:
        source: the file, or its content.
        formats: names of formats as Pillow has them.

    Returns:
        The reason, and whether a program that converts images may read the file.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return why_unknown(file, formats)
    source.seek(0)
    kind, is_image = kind_of(source.read(32))
    if kind not in formats:
        return f"no {' or '.join(formats)}" + (f", but {kind}" if kind else ""), is_image
    with warnings.catch_warnings(action="ignore"):  # the reason says it
        layout = _layout_in(source) if kind == "TIFF" else ""
        return layout or f"damaged {kind}: {_fault_of(source, kind)}", bool(layout)


def is_signed(tags: Mapping[int, Any]) -> bool:
    """Return whether a TIFF with these tags has signed integers, which Pillow takes for unsigned ones."""
    return 2 in tags.get(SAMPLE_FORMAT, ())


def layout_of(tags: Mapping[int, Any]) -> str:
    """Return the layout of the pixels of a TIFF as text.

    Raises:
        LookupError: if the tags do not tell it.
    """
    samples = SAMPLES.get(tags.get(SAMPLE_FORMAT, (1,))[0], "complex or undefined numbers")
    other = f"photometric {tags.get(PHOTOMETRIC)}, compression {tags.get(COMPRESSION)}"
    return f"a TIFF of {tags.get(CHANNELS, 1)} x {tags[BITS][0]} bits, {samples}, {other}"


def _fault_of(file: BinaryIO, kind: str) -> str:
    """What Pillow says of a damaged file, if it is asked to open it as one of a kind."""
    file.seek(0)
    try:
        Image.OPEN[kind][0](file, "")
    except Exception as error:  # of any type, since the file may be damaged in any way
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return "unknown"


def _layout_in(file: BinaryIO) -> str:
    """The layout of the pixels of a TIFF as text, or "" if the file is damaged."""
    file.seek(0)
    first = file.read(16)
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(first if first[2:4] in (b"+\0", b"\0+") else first[:8])
        file.seek(tags.next)
        tags.load(file)
        return layout_of(tags)
    except Exception:  # as above
        return ""
