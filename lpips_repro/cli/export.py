"""`lpips-repro export`: writes LPIPS as a file that other programs run."""

from pathlib import Path
from typing import Annotated

import typer

from lpips_repro.cli import options
from lpips_repro.cli.names import complete_name
from lpips_repro.config import Device

EPILOG = """Examples:

\b
  lpips-repro export alex -o alex.onnx
  lpips-repro export vgg-off_the_shelf-v0.1 --spatial -o vgg-map.pt2
"""


def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A network, as for -m.", autocompletion=complete_name)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A .onnx or .pt2 file.")],
    spatial: Annotated[bool, typer.Option("--spatial", help="Export the map of distances.")] = False,
    weights: options.Weights = None,
    quiet: options.Quiet = False,
) -> None:
    """Export LPIPS as an ONNX file or a torch.export program.

    Its inputs x and y are float32 (N, 3, H, W) with values in [-1, 1]. Its output is N distances, or maps (N, 1, H, W).
    The distances of the file are compared with those of the metric.
    """
    options.check_output(output, (".onnx", ".pt2"), inputs=(weights,))
    from lpips_repro.cli.session import Session
    from lpips_repro.export import export as write

    session = Session([name], weights, Device.cpu, quiet=quiet)
    session.metric.spatial = spatial
    done = write(session.metric, output)
    session.note(
        f"written: {done.path}: {session.methods[0].label}, at most {done.difference:.1e} from the metric; for images"
        f" of at least {done.smallest} x {done.smallest} pixels"
    )
