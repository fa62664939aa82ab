"""Distortions applied: one by name, or a drawn sequence of one or two.

The paper uses its 20 distortions singly and 308 of their ordered pairs, without naming the pairs. Of the 380 ordered
pairs of two different distortions, 42 are of two spatial ones and 30 of two noises: without these there are 308, so
these 308 are taken to be the paper's (`paper_pairs`). The mini dataset takes the 294 of them that are of two different
groups (`pairs_across_groups`): not the 12 of two photometric distortions and the 2 of two blurs.
"""

import itertools
from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np

from lpips_repro.distortions.registry import DISTORTIONS
from lpips_repro.errors import UserError, expected

ONCE = ("noise", "spatial")  # groups of which a pair of the paper has one at most, it seems
LEAST_SIDE, LARGEST_SIDE = 8, 32766  # of an image, in pixels: a block of JPEG, and what OpenCV resamples


class Step(NamedTuple):
    """One distortion of a sequence: its name in DISTORTIONS and its severity in [0, 1]."""

    name: str
    severity: float


def distort(image: np.ndarray, steps: Sequence[Step | tuple[str, float]], rng: np.random.Generator | int) -> np.ndarray:
    """Apply distortions one after the other.

        distort(image, [("gaussian_blur", 0.5), ("jpeg", 0.7)], rng=0)

    Args:
        image: RGB in [0, 1], float (H, W, 3), 8 to 32766 pixels a side.
        steps: names and severities in [0, 1], in the order of application; `DISTORTIONS[name].amounts` has what a
            severity is in physical units.
        rng: decides directions and noise, a generator or a seed; the same one gives the same result.

    Returns:
        float32 (H, W, 3) in [0, 1].

    Raises:
        UserError: the image is not such, a step is no pair, a name is unknown or a severity outside [0, 1].
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind != "f":
        raise UserError(f"image is {image.dtype} {image.shape}: expected float (H, W, 3) in [0, 1]")
    if min(image.shape[:2]) < LEAST_SIDE or max(image.shape) > LARGEST_SIDE:
        height, width, _ = image.shape
        raise UserError(f"image has {width} x {height} pixels: expected {LEAST_SIDE} to {LARGEST_SIDE} a side")
    if not (image.min() >= 0 and image.max() <= 1):
        raise UserError(f"image has values in [{image.min():.3g}, {image.max():.3g}]: expected [0, 1]")
    for step in steps:
        if not isinstance(step, tuple | list) or len(step) != 2:
            raise UserError(f"steps have {step!r}: expected names with severities, as in [('jpeg', 0.5)]")
        name, severity = step
        if name not in DISTORTIONS:
            raise UserError(f"no distortion {name!r}: {expected(name, DISTORTIONS)}")
        if not (isinstance(severity, Real) and 0 <= severity <= 1):
            raise UserError(f"severity {severity} of {name}: expected a number in [0, 1]")
    image, rng = np.array(image, dtype=np.float32, order="C"), np.random.default_rng(rng)
    for name, severity in steps:
        image = DISTORTIONS[name].function(image, severity, rng)
    return image


def paper_pairs() -> list[tuple[str, str]]:
    """The ordered pairs of two different distortions, sorted, but for two noises and two spatial ones: 308."""
    groups = {name: distortion.group for name, distortion in sorted(DISTORTIONS.items())}
    pairs = itertools.permutations(groups, 2)
    return [(one, two) for one, two in pairs if groups[one] != groups[two] or groups[one] not in ONCE]


def pairs_across_groups() -> list[tuple[str, str]]:
    """The ordered pairs of distortions of two different groups, sorted: 294."""
    return [(one, two) for one, two in paper_pairs() if DISTORTIONS[one].group != DISTORTIONS[two].group]


def draw_steps(
    rng: np.random.Generator, low: float, high: float, pairs: Sequence[tuple[str, str]] | None = None
) -> list[Step]:
    """Draw one distortion or a sequential pair, each half of the time.

    Args:
        rng: where they are drawn from.
        low: least severity.
        high: largest severity; severities are uniform between the two.
        pairs: the ordered pairs that may be drawn, of which the first is drawn from all distortions; None: the paper's.
    """
    names = sorted(DISTORTIONS)
    chosen = [names[rng.integers(len(names))]]
    if rng.random() < 0.5:
        seconds = [two for one, two in (paper_pairs() if pairs is None else pairs) if one == chosen[0]]
        chosen.append(seconds[rng.integers(len(seconds))])
    return [Step(name, rng.uniform(low, high)) for name in chosen]
