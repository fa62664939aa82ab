"""The distortions by name, each with its group of the paper's Table 2."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lpips_repro.errors import check_new

Function = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


class Distortion(NamedTuple):
    """A registered distortion: its group, and `function(image, severity, rng)` float32 RGB in [0, 1] in and out."""

    group: str
    function: Function


DISTORTIONS: dict[str, Distortion] = {}


def register_distortion(group: str) -> Callable[[Function], Function]:
    """Register a function of (image, severity, rng) under its own name.

    Args:
        group: photometric, noise, blur, spatial or compression.
    """

    def register(function: Function) -> Function:
        check_new("distortion", function.__name__, DISTORTIONS)
        DISTORTIONS[function.__name__] = Distortion(group, function)
        return function

    return register


def draw_sign(rng: np.random.Generator) -> float:
    """-1 or 1 with equal probability: the direction of a distortion that has two."""
    return float(rng.choice((-1.0, 1.0)))
