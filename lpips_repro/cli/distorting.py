"""The work of `lpips-repro distort`: distorts an image file, and lists the distortions."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tabulate import tabulate

from lpips_repro.cli.reading import Reading, read_file
from lpips_repro.distortions import DISTORTIONS, Step, distort
from lpips_repro.errors import UserError
from lpips_repro.files import write_whole


def write_distorted(image: Path, steps: Sequence[Step], output: Path, seed: int, background: str) -> str:
    """Apply distortions to an image file in sequence, and write the result as a PNG of 8 bits per channel.

    Args:
        image: file of the image; output: the PNG.
        steps: distortions with their severities.
        seed: seed of directions and noise.
        background: color behind transparent pixels.

    Returns:
        A line that describes what was done.

    Raises:
        UserError: if the image cannot be read, or a distortion cannot be applied to it.
    """
    pixels = read_file(image, Reading(background))
    try:
        found = distort(pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max), steps, seed)
    except UserError as error:
        raise UserError(f"{image}: {error}") from None
    content = io.BytesIO()
    Image.fromarray(np.rint(found * 255).astype(np.uint8)).save(content, "PNG")
    write_whole(output, content.getvalue())
    return f"{output}: {'; then '.join(map(described, steps))}; seed {seed}"


def steps_of(names: Sequence[str], severities: Sequence[float]) -> list[Step]:
    """Return the distortions in sequence, given one severity for all or one for each.

    Raises:
        UserError: if the number of severities is neither one nor that of the names.
    """
    if len(severities) not in (1, len(names)):
        raise UserError(
            f"{len(names)} times --with, {len(severities)} times --severity: expected one for all or for each"
        )
    every = [*severities] * len(names) if len(severities) == 1 else severities
    return [Step(name, severity) for name, severity in zip(names, every, strict=True)]


def described(step: Step) -> str:
    """Return a distortion as text, with its severity in physical units."""
    amounts = ", ".join(amount.text(step.severity) for amount in DISTORTIONS[step.name].amounts)
    return f"{step.name} at severity {step.severity:g} ({amounts})"


def table_of_distortions() -> str:
    """Return a table of the distortions: name, group, and the range of severity 0 to 1 in physical units."""
    rows = []
    for name, distortion in DISTORTIONS.items():
        rows.append((name, distortion.group, "; ".join(amount.range for amount in distortion.amounts)))
    return tabulate(rows, headers=("name", "group", "severity 0 to 1"), tablefmt="simple", disable_numparse=True)
