"""Options that commands share, and their checks."""

import enum
import os
import re
from collections.abc import Iterable, Sequence
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
# Typer does not check whether a file is readable: it fails as a missing one does, and the others are compared.
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
    typer.Option("--format", help="By default the suffix of --output, or else table."),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto uses CUDA if it works.")]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, help="Pairs at once, which limits the memory. Default: by their size."),
]
Resize = Annotated[
    str, typer.Option("--resize", metavar="no|ref|HxW", help="Scale images to the size of their reference, or to HxW.")
]
Background = Annotated[str, typer.Option("--background", metavar="COLOR", help="The color behind transparent pixels.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights of the network: weights.pth of a training run, lin weights, or a backbone's.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on standard error.")]
Recursive = Annotated[bool, typer.Option("--recursive", help="Include the images of subfolders.")]


def given(
    words: Sequence[Path | None],
    ref: Path | None,
    tests: Sequence[Path] | None,
    usage: str,
    most: int | None = None,
) -> list[Path]:
    """Return the paths to compare, with the reference first.

    Args:
        words: positional arguments.
        ref, tests: values of --ref and --test.
        usage: expected arguments, for the message.
        most: largest number of paths; None for any number.

    Raises:
        UserError: if there are fewer than two paths, or more than `most`.
    """
    found = [path for path in (ref, *words, *(tests or ())) if path is not None]
    if not 2 <= len(found) <= (most or len(found)):
        raise UserError(f"expected {usage}, got {' '.join(map(str, found)) or 'nothing'}")
    return found


def size_of(resize: str) -> str | tuple[int, int] | None:
    """Return the value of `--resize` as None, "ref" or (height, width).

    Raises:
        UserError: for any other value.
    """
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
    """Return the format of the results: `style` if given, or else by the suffix of the file, or else a table."""
    suffix = "" if output is None else output.suffix.lower().removeprefix(".")
    return style or (Format(suffix) if suffix in {one.value for one in Format} else Format.table)


def check_output(output: Path | None, suffixes: tuple[str, ...] = (), *, inputs: Iterable[Path | None] = ()) -> None:
    """Check before the work that its results can be written to a file.

    Args:
        output: the file; None for standard output.
        suffixes: suffixes that its name may have; all if empty.
        inputs: files that the command reads; None is ignored.

    Raises:
        UserError: if the file has another suffix, is a folder, is one of the inputs, or cannot be written.
    """
    if output is None or str(output) in STREAMS:
        return
    if suffixes and output.suffix.lower() not in suffixes:
        raise UserError(f"{output}: expected a name that ends in {' or '.join(suffixes)}")
    if output.is_dir():
        raise UserError(f"{output}: a folder: expected the name of a file")
    if output.is_file() and any(path is not None and _are_same(output, path) for path in inputs):
        raise UserError(f"{output}: a file that this command reads: give --output another name")
    if output.exists() and not output.is_file():  # such as /dev/null or a pipe
        if not os.access(output, os.W_OK):
            raise UserError(f"{output}: cannot be written to")
        return
    folder = output.resolve().parent
    if not folder.is_dir():
        raise UserError(f"{output}: no such folder as {output.parent}: make it first")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{output}: the folder cannot be written to")


def _are_same(output: Path, path: Path) -> bool:
    """Whether two existing paths are one file; a missing or unreadable one is an error later."""
    try:
        return output.samefile(path)
    except (OSError, ValueError):
        return False
