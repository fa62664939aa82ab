"""The options that commands share."""

import enum
import re
from pathlib import Path
from typing import Annotated

import typer

from lpips_repro.cli.methods import DEFAULT
from lpips_repro.config import Device
from lpips_repro.errors import UserError
from lpips_repro.images import color_of


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
        help=f"A method, {DEFAULT} by default; may be repeated. `lpips-repro metrics` lists them.",
    ),
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
    typer.Option("--weights", metavar="FILE", help="Weights of the network, such as weights.pth of a training run."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on standard error.")]
Recursive = Annotated[bool, typer.Option("--recursive", help="Also the images of folders inside.")]


def size_of(resize: str) -> str | tuple[int, int] | None:
    """The setting of `--resize`: None, "ref" or (height, width); UserError for anything else."""
    if resize in ("no", "ref"):
        return None if resize == "no" else resize
    size = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", resize)
    if size is None:
        raise UserError(f"--resize {resize}: expected no, ref or HxW, such as 256x256")
    return int(size[1]), int(size[2])


def style_of(style: Format | None, output: Path | None) -> str:
    """The format of the results: the one asked for, or by the suffix of the file."""
    if style is not None:
        return style.value
    suffix = "" if output is None else output.suffix.removeprefix(".")
    return suffix if suffix in {one.value for one in Format} else "table"


def check_background(name: str) -> str:
    """The name of a color; UserError if there is no such color."""
    color_of(name)
    return name
