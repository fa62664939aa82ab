"""Apply distortions by name, and draw sequences of one or two of them.

The paper uses its 20 distortions alone, and 308 of their ordered pairs, which it does not name. There are 380 ordered
pairs of two different distortions. 42 of them have two spatial distortions, and 30 have two noises. Without these there
are 308 pairs, which are therefore used as the paper's (`paper_pairs`). The mini dataset uses 294 of them: those of two
different groups (`pairs_across_groups`), without 12 pairs of photometric distortions and 2 pairs of blurs.
"""

import itertools
from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np

from lpips_repro.distortions.registry import DISTORTIONS
from lpips_repro.errors import UserError, expected

ONCE = ("noise", "spatial")  # groups of which a pair has at most one distortion (inferred from the count)
LEAST_SIDE, LARGEST_SIDE = 8, 32766  # pixels per side of an image: a block of JPEG, and OpenCV's limit of resampling


class Step(NamedTuple):
    """One distortion of a sequence: its name in DISTORTIONS and its severity in [0, 1]."""

    name: str
    severity: float


def distort(image: np.ndarray, steps: Sequence[Step | tuple[str, float]], rng: np.random.Generator | int) -> np.ndarray:
    """Apply distortions one after the other.

        distort(image, [("gaussian_blur", 0.5), ("jpeg", 0.7)], rng=0)

    Args:
        image: RGB in [0, 1], float (H, W, 3), 8 to 32766 pixels per side.
        steps: names and severities in [0, 1], in the order of application. `DISTORTIONS[name].amounts` has the
            severities in physical units.
        rng: a generator or a seed, for directions and noise. The same seed gives the same result.

    Returns:
        float32 (H, W, 3) in [0, 1].

    Raises:
        UserError: if the image has another type, shape, size or range, if a step is not a pair, if a name is unknown,
            or if a severity is outside [0, 1].
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind != "f":
        raise UserError(f"image is {image.dtype} {image.shape}: expected float (H, W, 3) in [0, 1]")
    if min(image.shape[:2]) < LEAST_SIDE or max(image.shape) > LARGEST_SIDE:
        height, width, _ = image.shape
        raise UserError(f"image has {width} x {height} pixels: expected {LEAST_SIDE} to {LARGEST_SIDE} per side")
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
    """The 308 ordered pairs of different distortions, without two noises or two spatial distortions, sorted."""
    groups = {name: distortion.group for name, distortion in sorted(DISTORTIONS.items())}
    pairs = itertools.permutations(groups, 2)
    return [(one, two) for one, two in pairs if groups[one] != groups[two] or groups[one] not in ONCE]


def pairs_across_groups() -> list[tuple[str, str]]:
    """The 294 ordered pairs of distortions of two different groups, sorted."""
    return [(one, two) for one, two in paper_pairs() if DISTORTIONS[one].group != DISTORTIONS[two].group]


def draw_steps(
    rng: np.random.Generator, low: float, high: float, pairs: Sequence[tuple[str, str]] | None = None
) -> list[Step]:
    """Draw one distortion or an ordered pair, with equal probability.

    Args:
        rng: the source of randomness.
        low: least severity.
        high: largest severity. Severities are uniform between the two.
        pairs: the ordered pairs that may be drawn; None: `paper_pairs()`. The first distortion is drawn from all, the
            second from those that the pairs allow.
    """
    names = sorted(DISTORTIONS)
    chosen = [names[rng.integers(len(names))]]
    if rng.random() < 0.5:
        seconds = [two for one, two in (paper_pairs() if pairs is None else pairs) if one == chosen[0]]
        chosen.append(seconds[rng.integers(len(seconds))])
    return [Step(name, rng.uniform(low, high)) for name in chosen]
