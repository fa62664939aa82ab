"""`lpips-repro export`: a network as a file that other programs run."""

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
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="NAME.onnx, or NAME.pt2.")],
    spatial: Annotated[bool, typer.Option("--spatial", help="Export the map of distances.")] = False,
    weights: options.Weights = None,
    quiet: options.Quiet = False,
) -> None:
    """LPIPS as an ONNX file or torch.export program.

    Its inputs x and y are float32 (N, 3, H, W) with values in [-1, 1]; its output is N distances, or maps (N, 1, H, W).
    The file is checked: its distances are compared with the metric's.
    """
    options.check_output(output, (".onnx", ".pt2"))
    from lpips_repro.cli.session import Session
    from lpips_repro.export import export as write

    session = Session([name], weights, Device.cpu, quiet=quiet)
    session.metric.spatial = spatial
    done = write(session.metric, output)
    session.note(
        f"written: {done.path}: {session.methods[0].label}, at most {done.difference:.1e} from the metric; images have"
        f" at least {done.smallest} pixels a side"
    )
