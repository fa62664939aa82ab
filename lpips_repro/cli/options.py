"""The options that commands share."""

import enum
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lpips_repro.cli.names import DEFAULT, complete_name
from lpips_repro.cli.printing import STREAMS
from lpips_repro.config import Device
from lpips_repro.errors import UserError

MOST_PIXELS = 178_956_970  # Pillow refuses files with more: they would take too much memory


class Format(enum.Enum):
    """How results are written."""

    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"


class Match(enum.Enum):
    """How the images of two folders are paired."""

    name = "name"
    order = "order"


Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        "-m",
        metavar="NAME",
        help=f"A method, {DEFAULT} by default; may be repeated. `lpips-repro metrics` lists them. Or timm/NAME, a"
        " network of timm; LIBRARY/METRIC, as in piq/mdsi; or FILE.py:FUNCTION, a metric of your own.",
        autocompletion=complete_name,
    ),
]
Network = Annotated[
    str, typer.Option("--metric", "-m", metavar="NAME", help="A network.", autocompletion=complete_name)
]
# A file that may not be read is one that cannot be compared, as a missing one is: the others go on.
AnyPath = partial(typer.Argument, readable=False)
Ref = Annotated[
    Path | None, typer.Option("--ref", "-r", metavar="REF", readable=False, help="Another way to give REF.")
]
Tests = Annotated[
    list[Path] | None,
    typer.Option("--test", "-t", metavar="IMAGE", readable=False, help="Another way to give images."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the results to a file.")]
Style = Annotated[
    Format | None,
    typer.Option("--format", help="By default that of the suffix of --output, else table."),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto takes CUDA if it works.")]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, help="Pairs at once, which bounds the memory. By default as suits their size."),
]
Resize = Annotated[
    str, typer.Option("--resize", metavar="no|ref|HxW", help="Scale images to the size of their reference, or to HxW.")
]
Background = Annotated[str, typer.Option("--background", metavar="COLOR", help="What is behind transparent pixels.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights of the network: weights.pth of a training run, lin weights, or a backbone's.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on standard error.")]
Recursive = Annotated[bool, typer.Option("--recursive", help="Also the images of folders inside.")]


def given(
    words: Sequence[Path | None],
    ref: Path | None,
    tests: Sequence[Path] | None,
    usage: str,
    most: int | None = None,
) -> list[Path]:
    """What is compared, the reference first, from words and options; UserError unless there are two or more.

    Args:
        words: without the name of an option; ref, tests: of --ref and --test.
        usage: what the message expects.
        most: how many there may be; None for any number.
    """
    found = [path for path in (ref, *words, *(tests or ())) if path is not None]
    if not 2 <= len(found) <= (most or len(found)):
        raise UserError(f"expected {usage}, got {' '.join(map(str, found)) or 'nothing'}")
    return found


def size_of(resize: str) -> str | tuple[int, int] | None:
    """The setting of `--resize`: None, "ref" or (height, width); UserError for anything else."""
    if resize in ("no", "ref"):
        return None if resize == "no" else resize
    size = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", resize)
    if size is None:
        raise UserError(f"--resize {resize}: expected no, ref or HxW, such as 256x256")
    height, width = int(size[1]), int(size[2])
    if height * width > MOST_PIXELS:
        raise UserError(f"--resize {resize}: expected at most {MOST_PIXELS} pixels, as image files may have")
    return height, width


def style_of(style: Format | None, output: Path | None) -> Format:
    """The format of the results: the one asked for, or by the suffix of the file."""
    suffix = "" if output is None else output.suffix.lower().removeprefix(".")
    return style or (Format(suffix) if suffix in {one.value for one in Format} else Format.table)


def check_output(output: Path | None, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that cannot be written, before the work whose results belong there.

    Args:
        output: the file; suffixes: its name has to end in one of these, if there are any.
    """
    if output is None or str(output) in STREAMS:
        return
    if suffixes and output.suffix.lower() not in suffixes:
        raise UserError(f"{output}: expected a name that ends in {' or '.join(suffixes)}")
    if output.is_dir():
        raise UserError(f"{output}: a folder: expected the name of a file")
    if output.exists() and not output.is_file():  # such as /dev/null or a pipe, which is not replaced
        if not os.access(output, os.W_OK):
            raise UserError(f"{output}: cannot be written to")
        return
    folder = output.resolve().parent
    if not folder.is_dir():
        raise UserError(f"{output}: no such folder as {output.parent}: make it first")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{output}: the folder cannot be written to")
