"""The commands of `lpips-repro`. Results go to standard output, everything else to standard error.

Exit status: 0; 1 if something failed, which is named at the end, after the results of the rest; 2 for wrong usage.
"""

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from lpips_repro.cli import distort, options
from lpips_repro.cli.maps import map_of, write_map
from lpips_repro.cli.methods import DEFAULT, table_of_names
from lpips_repro.cli.pairing import Pair, images_in, pairs_by_name, pairs_in_csv, pairs_in_order
from lpips_repro.cli.session import Session
from lpips_repro.config import Device
from lpips_repro.errors import UserError
from lpips_repro.versions import OWN, package_version

app = typer.Typer(
    name="lpips-repro",
    help="Distances of images: LPIPS and the metrics that its paper compares with.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def program(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Distances of images: LPIPS and the metrics that its paper compares with."""
    if version:
        print(package_version(OWN))
        raise typer.Exit


@app.command(epilog="Example: lpips-repro distance ref.png a.png b.png -m alex -m ssim --format json")
def distance(
    ref: Annotated[Path | None, typer.Argument(metavar="REF", help="The reference image.")] = None,
    images: Annotated[list[Path] | None, typer.Argument(metavar="IMAGE...", help="The images.")] = None,
    ref_option: Annotated[Path | None, typer.Option("--ref", "-r", metavar="REF")] = None,
    test_option: Annotated[list[Path] | None, typer.Option("--test", "-t", metavar="IMAGE")] = None,
    metric: options.Metrics = None,
    output: options.Output = None,
    style: options.Style = None,
    device: options.DeviceOption = Device.auto,
    batch_size: options.BatchSize = None,
    resize: options.Resize = "no",
    background: options.Background = "white",
    weights: options.Weights = None,
    quiet: options.Quiet = False,
) -> None:
    """The distances of images from a reference image."""
    given = [path for path in (ref, *(images or ())) if path is not None]
    if ref_option is not None:
        given.insert(0, ref_option)
    first, *others = [*given, *(test_option or ())] or [None]
    if first is None or not others:
        raise UserError("expected a reference and at least one image: lpips-repro distance REF IMAGE...")
    session = Session(metric or [DEFAULT], weights, device, batch_size, resize, background, quiet)
    session.finish(session.score([Pair(first, image) for image in others]), output, style)


@app.command(epilog="Example: lpips-repro dirs references/ outputs/ -m alex -o distances.csv")
def dirs(
    ref_dir: Annotated[Path, typer.Argument(metavar="REF_DIR", help="The folder of the references.")],
    image_dir: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the images.")],
    match: Annotated[options.Match, typer.Option(help="Pair images of one name, or sorted ones in order.")] = (
        options.Match.name
    ),
    recursive: options.Recursive = False,
    metric: options.Metrics = None,
    output: options.Output = None,
    style: options.Style = None,
    device: options.DeviceOption = Device.auto,
    batch_size: options.BatchSize = None,
    resize: options.Resize = "no",
    background: options.Background = "white",
    weights: options.Weights = None,
    quiet: options.Quiet = False,
) -> None:
    """The distances of the images of a folder from those of another."""
    pair = pairs_by_name if match is options.Match.name else pairs_in_order
    pairs = pair(ref_dir, image_dir, recursive)
    session = Session(metric or [DEFAULT], weights, device, batch_size, resize, background, quiet)
    session.finish(session.score(pairs), output, style)


@app.command(epilog="Example: lpips-repro pairs pairs.csv -m vgg, with the lines ref,image and a.png,b.png")
def pairs(
    file: Annotated[Path, typer.Argument(metavar="PAIRS.csv", help="A CSV file with the columns ref and image.")],
    metric: options.Metrics = None,
    output: options.Output = None,
    style: options.Style = None,
    device: options.DeviceOption = Device.auto,
    batch_size: options.BatchSize = None,
    resize: options.Resize = "no",
    background: options.Background = "white",
    weights: options.Weights = None,
    quiet: options.Quiet = False,
) -> None:
    """The distances of the pairs of a CSV file, whose paths are relative to its folder."""
    chosen = pairs_in_csv(file)
    session = Session(metric or [DEFAULT], weights, device, batch_size, resize, background, quiet)
    session.finish(session.score(chosen), output, style)


@app.command(epilog="Example: lpips-repro matrix images/ -m squeeze -o matrix.csv")
def matrix(
    ref_dir: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of images.")],
    image_dir: Annotated[Path | None, typer.Argument(metavar="DIR2", help="Another one; by default the same.")] = None,
    recursive: options.Recursive = False,
    metric: options.Metrics = None,
    output: options.Output = None,
    style: options.Style = None,
    device: options.DeviceOption = Device.auto,
    batch_size: options.BatchSize = None,
    resize: options.Resize = "no",
    background: options.Background = "white",
    weights: options.Weights = None,
    quiet: options.Quiet = False,
) -> None:
    """The distance of every image of a folder from every other, or from all of another folder."""
    refs = images_in(ref_dir, recursive)
    images = refs if image_dir is None else images_in(image_dir, recursive)
    session = Session(metric or [DEFAULT], weights, device, batch_size, resize, background, quiet)
    session.finish(session.matrix(refs, images), output, style, square=True)


@app.command("map", epilog="Example: lpips-repro map ref.png image.png -o map.png")
def map_(
    ref: Annotated[Path, typer.Argument(metavar="REF", help="The reference image.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="map.png or map.npy.")],
    metric: Annotated[str, typer.Option("--metric", "-m", metavar="NAME", help="A network.")] = DEFAULT,
    device: options.DeviceOption = Device.auto,
    resize: options.Resize = "no",
    background: options.Background = "white",
    weights: options.Weights = None,
    quiet: options.Quiet = False,
) -> None:
    """Where two images differ: a map of distances, whose mean is close to the distance of the images."""
    session = Session([metric], weights, device, None, resize, background, quiet)
    found = map_of(Pair(ref, image), session.methods[0], session.device, session.reading)
    write_map(output, found)
    session.note(f"{output}: {session.methods[0].label}, mean {found.mean():.6f}, largest {found.max():.6f}")


app.command(epilog=distort.EPILOG)(distort.distort)


@app.command(epilog="Example: lpips-repro metrics")
def metrics() -> None:
    """The methods that -m takes."""
    print(table_of_names())


def main() -> None:
    """Run the command; every error is one line."""
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    try:
        status = app(standalone_mode=False)
    except UserError as error:
        status = _failed(str(error))
    except typer.Abort:
        status = 130
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # of a pager that was closed
        status = 0
    except OSError as error:
        status = _failed(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        status = _failed(f"{' '.join(error.format_message().split())} (see lpips-repro --help)")
    sys.exit(status)


def _failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2
