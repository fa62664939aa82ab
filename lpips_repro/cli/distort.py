"""`lpips-repro distort`: distorts an image as in the paper's Table 2."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lpips_repro.cli import options
from lpips_repro.errors import UserError

EPILOG = "Example: lpips-repro distort photo.jpg --with gaussian_blur --with jpeg --severity 0.6 -o out.png"


def distort(
    image: Annotated[Path | None, typer.Argument(metavar="IMAGE", help="The image.")] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--with", "-w", metavar="NAME", help="A distortion; several are applied in this order."),
    ] = None,
    severity: Annotated[
        list[float] | None,
        typer.Option(
            "--severity", "-s", metavar="S", help="From 0 (none) to 1: one for all, or one each. By default 0.5."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.png", help="The distorted image, 8 bits per channel.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of directions and noise.")] = 0,
    names_only: Annotated[bool, typer.Option("--list", help="Print the distortions and their severity.")] = False,
    background: options.Background = "white",
    quiet: options.Quiet = False,
) -> None:
    """Distort an image by one of the paper's distortions, or by several in sequence."""
    if names_only:
        from lpips_repro.cli.distorting import table_of_distortions

        print(table_of_distortions())
        return
    if image is None or not names or output is None:
        raise UserError("expected an image, a distortion and a file: lpips-repro distort IMAGE --with NAME -o OUT.png")
    options.check_output(output, (".png",), inputs=(image,))
    from lpips_repro.cli.distorting import steps_of, write_distorted

    note = write_distorted(image, steps_of(names, severity or [0.5]), output, seed, background)
    if not quiet:
        print(note, file=sys.stderr)
