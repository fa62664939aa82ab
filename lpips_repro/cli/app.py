"""The commands of `lpips-repro`. Results go to standard output, everything else to standard error.

Modules that need PyTorch are imported inside the commands, so that help and shell completion are fast.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lpips_repro.cli import distort, export, options
from lpips_repro.cli.names import DEFAULT, table_of_names
from lpips_repro.cli.pairing import Pair, files_of, images_in, pairs_by_name, pairs_in_csv, pairs_in_order
from lpips_repro.cli.printing import print_output
from lpips_repro.config import Device
from lpips_repro.versions import OWN, package_version

EXAMPLES = """Examples:

\b
  lpips-repro distance ref.png a.png b.png
  lpips-repro dirs references/ outputs/ -m alex -m ssim -o distances.csv
  lpips-repro COMMAND --help
"""

app = typer.Typer(
    name="lpips-repro",
    help="Distances between images: LPIPS and the metrics that its paper compares with.",
    epilog=EXAMPLES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Distances between images: LPIPS and the metrics that its paper compares with."""
    if version:
        print(package_version(OWN))
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


@app.command(
    epilog="""Examples:

\b
  lpips-repro distance ref.png a.png b.png
  lpips-repro distance ref.png a.png -m alex -m vgg-lin-v0.0 -m ssim --format json
  lpips-repro distance -r ref.png -t a.png --resize ref
"""
)
def distance(
    ref: Annotated[Path | None, options.AnyPath(metavar="REF", help="The reference image.")] = None,
    images: Annotated[list[Path] | None, options.AnyPath(metavar="IMAGE...", help="The images.")] = None,
    ref_option: options.Ref = None,
    test_option: options.Tests = None,
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
    """Compute the distances of images from a reference."""
    first, *others = options.given([ref, *(images or [])], ref_option, test_option, "REF IMAGE...")
    options.check_output(output, inputs=(first, *others, weights))
    from lpips_repro.cli.session import Session

    session = Session(metric, weights, device, resize, background, quiet, batch_size)
    session.finish(session.score([Pair(first, image) for image in others]), output, style)


@app.command(
    epilog="""Examples:

\b
  lpips-repro dirs references/ outputs/
  lpips-repro dirs references/ outputs/ --recursive -m alex -m psnr -o distances.csv
  lpips-repro dirs references/ outputs/ --match order --resize 256x256 --format jsonl
"""
)
def dirs(
    ref_dir: Annotated[Path | None, typer.Argument(metavar="REF_DIR", help="The folder of the references.")] = None,
    image_dir: Annotated[Path | None, typer.Argument(metavar="DIR", help="The folder of the images.")] = None,
    ref_option: options.Ref = None,
    test_option: options.Tests = None,
    match: Annotated[options.Match, typer.Option(help="Pair images by name, or in sorted order.")] = (
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
    """Compute the distances between the images of two folders.

    By default, images with the same name are a pair. Subfolders are part of the name; the suffix may differ. An image
    without a partner is an error.
    """
    ref_dir, image_dir = options.given([ref_dir, image_dir], ref_option, test_option, "REF_DIR DIR", most=2)
    pair = pairs_by_name if match is options.Match.name else pairs_in_order
    pairs = pair(ref_dir, image_dir, recursive)
    options.check_output(output, inputs=(*files_of(pairs), weights))
    from lpips_repro.cli.session import Session

    session = Session(metric, weights, device, resize, background, quiet, batch_size)
    session.finish(session.score(pairs), output, style)


@app.command(
    epilog="""Examples:

\b
  printf 'ref,image\\na.png,b.png\\n' > pairs.csv
  lpips-repro pairs pairs.csv -m vgg -o distances.json
"""
)
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
    """Compute the distances of the pairs in a CSV file.

    Its paths are absolute, or relative to its folder.
    """
    chosen = pairs_in_csv(file)
    options.check_output(output, inputs=(*files_of(chosen), file, weights))
    from lpips_repro.cli.session import Session

    session = Session(metric, weights, device, resize, background, quiet, batch_size)
    session.finish(session.score(chosen), output, style)


@app.command(
    epilog="""Examples:

\b
  lpips-repro matrix images/ -m squeeze -o matrix.csv
  lpips-repro matrix references/ outputs/ --resize 256x256 --format json
"""
)
def matrix(
    ref_dir: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of images.")],
    image_dir: Annotated[Path | None, typer.Argument(metavar="DIR2", help="Another folder; by default DIR.")] = None,
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
    """Compute the distances of all pairs of images, of one folder or of two.

    Each image passes the network once. Its feature maps are kept in memory, at most 2 GiB: about 800 images of 256 x
    256 pixels for alex, 60 for vgg. More images are divided into parts, and pass the network once per part.
    """
    refs = images_in(ref_dir, recursive)
    images = refs if image_dir is None else images_in(image_dir, recursive)
    options.check_output(output, inputs=(*refs, *images, weights))
    from lpips_repro.cli.session import Session

    session = Session(metric, weights, device, resize, background, quiet, batch_size)
    session.finish(session.matrix(refs, images), output, style, square=True)


@app.command(
    "map",
    epilog="""Examples:

\b
  lpips-repro map ref.png image.png -o map.png
  lpips-repro map ref.png image.png -m vgg -o map.npy
""",
)
def map_(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="map.png or map.npy.")],
    ref: Annotated[Path | None, options.AnyPath(metavar="REF", help="The reference image.")] = None,
    image: Annotated[Path | None, options.AnyPath(metavar="IMAGE", help="The image.")] = None,
    ref_option: options.Ref = None,
    test_option: options.Tests = None,
    metric: options.Network = DEFAULT,
    device: options.DeviceOption = Device.auto,
    resize: options.Resize = "no",
    background: options.Background = "white",
    weights: options.Weights = None,
    quiet: options.Quiet = False,
) -> None:
    """Compute a map of where two images differ.

    Its mean is close to the distance of the images. A .npy file has the distances, float32 (H, W). A .png file shows
    them in colors, from dark blue for 0 to yellow for the largest.
    """
    ref, image = options.given([ref, image], ref_option, test_option, "REF IMAGE", most=2)
    options.check_output(output, (".npy", ".png"), inputs=(ref, image, weights))
    from lpips_repro.cli.maps import write_map_of
    from lpips_repro.cli.session import Session

    session = Session([metric], weights, device, resize, background, quiet)
    write_map_of(session, Pair(ref, image), output)


app.command(epilog=export.EPILOG)(export.export)
app.command(epilog=distort.EPILOG)(distort.distort)


@app.command(epilog="Examples:\n\n\b\n  lpips-repro metrics")
def metrics() -> None:
    """List the methods that -m accepts."""
    print_output(table_of_names())
