"""Distortions applied: one by name, or a drawn sequence of one or two.

The paper uses its 20 distortions singly and 308 of their sequential pairs, without naming the pairs. Here a pair
is any two from different groups in either order, 294 of them: two of one group mostly undo or hide each other.
"""

from typing import NamedTuple

import numpy as np

from lpips_repro.distortions.registry import DISTORTIONS
from lpips_repro.errors import UserError


class Step(NamedTuple):
    """One distortion of a sequence: its name in DISTORTIONS and its severity in [0, 1]."""

    name: str
    severity: float


def distort(image: np.ndarray, steps: list[Step], rng: np.random.Generator) -> np.ndarray:
    """Apply distortions one after the other.

    Args:
        image: RGB in [0, 1], float (H, W, 3).
        steps: names and severities, in the order of application.
        rng: decides directions and noise; the same generator state gives the same result.

    Returns:
        float32 (H, W, 3) in [0, 1].

    Raises:
        UserError: the image is not such, a name is unknown or a severity outside [0, 1].
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind != "f":
        raise UserError(f"image is {image.dtype} {image.shape}: expected float (H, W, 3) in [0, 1]")
    if not (image.min() >= 0 and image.max() <= 1):
        raise UserError(f"image has values in [{image.min():.3g}, {image.max():.3g}]: expected [0, 1]")
    image = np.ascontiguousarray(image, dtype=np.float32)
    for name, severity in steps:
        if name not in DISTORTIONS:
            raise UserError(f"no distortion {name!r}: expected one of {', '.join(DISTORTIONS)}")
        if not 0 <= severity <= 1:
            raise UserError(f"severity {severity} of {name}: expected a number in [0, 1]")
        image = DISTORTIONS[name].function(image, severity, rng)
    return image


def draw_steps(rng: np.random.Generator, low: float, high: float) -> list[Step]:
    """Draw one distortion or a sequential pair, each half of the time.

    Args:
        rng: where they are drawn from.
        low: least severity.
        high: largest severity; severities are uniform between the two.
    """
    names = sorted(DISTORTIONS)
    chosen = [names[rng.integers(len(names))]]
    if rng.random() < 0.5:
        others = [name for name in names if DISTORTIONS[name].group != DISTORTIONS[chosen[0]].group]
        chosen.append(others[rng.integers(len(others))])
    return [Step(name, rng.uniform(low, high)) for name in chosen]
