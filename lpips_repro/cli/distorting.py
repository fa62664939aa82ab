"""What `lpips-repro distort` does: an image file to a distorted one, and the table of distortions."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tabulate import tabulate

from lpips_repro.distortions import DISTORTIONS, Step, distort
from lpips_repro.errors import UserError, check_utf8
from lpips_repro.files import write_whole
from lpips_repro.images import read_rgb


def write_distorted(image: Path, steps: Sequence[Step], output: Path, seed: int, background: str) -> str:
    """Write an image after distortions in sequence as a PNG; returns a line on what was done.

    Raises:
        UserError: if the image cannot be read, or a distortion cannot be applied to it.
    """
    check_utf8(str(image))
    pixels = read_rgb(image, background)
    try:
        found = distort(pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max), steps, seed)
    except UserError as error:
        raise UserError(f"{image}: {error}") from None
    content = io.BytesIO()
    Image.fromarray(np.rint(found * 255).astype(np.uint8)).save(content, "PNG")
    write_whole(output, content.getvalue())
    return f"{output}: {'; then '.join(map(described, steps))}; seed {seed}"


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
