"""`lpips-repro distort`: an image distorted as in the paper's Table 2."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from tabulate import tabulate

from lpips_repro.cli import options
from lpips_repro.distortions import DISTORTIONS, Step
from lpips_repro.distortions import distort as apply
from lpips_repro.errors import UserError, check_utf8
from lpips_repro.files import write_whole

EPILOG = "Example: lpips-repro distort photo.jpg --with gaussian_blur --with jpeg --severity 0.6 -o out.png"


def distort(
    image: Annotated[Path | None, typer.Argument(metavar="IMAGE", help="The image.")] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--with", "-w", metavar="NAME", help="A distortion; if repeated, they follow each other."),
    ] = None,
    severity: Annotated[
        list[float] | None,
        typer.Option(
            "--severity", "-s", metavar="S", help="From 0 (none) to 1: one for all, or one for each. By default 0.5."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.png", help="Where the image goes, 8 bits a channel.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of directions and noise.")] = 0,
    names_only: Annotated[bool, typer.Option("--list", help="Print the distortions and what severity is.")] = False,
    background: options.Background = "white",
    quiet: options.Quiet = False,
) -> None:
    """An image distorted by one of the paper's distortions, or by several in sequence."""
    if names_only:
        print(table_of_distortions())
        return
    if image is None or not names or output is None:
        raise UserError("expected an image, a distortion and a file: lpips-repro distort IMAGE --with NAME -o OUT.png")
    steps = steps_of(names, severity or [0.5])
    options.check_output(output, (".png",))
    check_utf8(str(image))
    from lpips_repro.images import read_rgb  # here, for it needs PyTorch: see `lpips_repro.cli.app`

    pixels = read_rgb(image, background)
    try:
        found = apply(pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max), steps, seed)
    except UserError as error:
        raise UserError(f"{image}: {error}") from None
    content = io.BytesIO()
    Image.fromarray(np.rint(found * 255).astype(np.uint8)).save(content, "PNG")
    write_whole(output, content.getvalue())
    if not quiet:
        print(f"{output}: {'; then '.join(map(described, steps))}; seed {seed}", file=sys.stderr)


def steps_of(names: Sequence[str], severities: Sequence[float]) -> list[Step]:
    """The distortions in sequence, with a severity for each or one for all."""
    if len(severities) not in (1, len(names)):
        raise UserError(
            f"{len(names)} times --with, {len(severities)} times --severity: expected one for all or for each"
        )
    every = [*severities] * len(names) if len(severities) == 1 else severities
    return [Step(name, severity) for name, severity in zip(names, every, strict=True)]


def described(step: Step) -> str:
    """A distortion with its severity in physical units."""
    amounts = ", ".join(amount.text(step.severity) for amount in DISTORTIONS[step.name].amounts)
    return f"{step.name} at severity {step.severity:g} ({amounts})"


def table_of_distortions() -> str:
    """The distortions by name, with their groups and what severity 0 to 1 is in physical units."""
    rows = []
    for name, distortion in DISTORTIONS.items():
        rows.append((name, distortion.group, "; ".join(amount.range for amount in distortion.amounts)))
    return tabulate(rows, headers=("name", "group", "severity 0 to 1"), tablefmt="simple", disable_numparse=True)
