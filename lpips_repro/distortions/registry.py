"""The distortions by name, each with its group in the paper's Table 2 and its severity in physical units."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lpips_repro.errors import check_new

Function = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


class Amount(NamedTuple):
    """A physical quantity that severity sets, such as the standard deviation of a blur in pixels.

    Attributes:
        name: name of the quantity; unit: its unit, or "" for a plain factor.
        at_zero: its value at severity 0; at_one: its value at severity 1.
        geometric: whether equal steps of severity multiply it by equal factors; otherwise they add equal amounts.
        whole: whether it is rounded to an integer.
    """

    name: str
    unit: str
    at_zero: float
    at_one: float
    geometric: bool = False
    whole: bool = False

    def at(self, severity: float) -> float:
        """The value at a severity in [0, 1]."""
        if self.geometric:
            value = self.at_zero * (self.at_one / self.at_zero) ** severity
        else:
            value = self.at_zero + (self.at_one - self.at_zero) * severity
        return round(value) if self.whole else value

    def text(self, severity: float) -> str:
        """The value at a severity in [0, 1], with name and unit: "sigma 1.6 px"."""
        return f"{self.name} {self.at(severity):.3g} {self.unit}".rstrip()

    @property
    def range(self) -> str:
        """The values from severity 0 to 1: "sigma 0 to 3.2 px"."""
        ratios = " in equal ratios" * self.geometric
        return f"{self.name} {self.at_zero:.3g} to {self.at_one:.3g} {self.unit}{ratios}"


class Distortion(NamedTuple):
    """A registered distortion.

    Attributes:
        group: its group in the paper's Table 2.
        function: `function(image, severity, rng)`; image and result are float32 RGB (H, W, 3) in [0, 1].
        amounts: the severity in physical units, the main one first.
    """

    group: str
    function: Function
    amounts: tuple[Amount, ...] = ()

    @property
    def description(self) -> str:
        """What it does: the first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


DISTORTIONS: dict[str, Distortion] = {}


def register_distortion(group: str, *amounts: Amount) -> Callable[[Function], Function]:
    """Register a function of (image, severity, rng) under its own name.

    Args:
        group: photometric, noise, blur, spatial or compression.
        amounts: the severity in physical units.
    """

    def register(function: Function) -> Function:
        check_new("distortion", function.__name__, DISTORTIONS)
        DISTORTIONS[function.__name__] = Distortion(group, function, amounts)
        return function

    return register


def draw_sign(rng: np.random.Generator) -> float:
    """-1 or 1 with equal probability, for the direction of a distortion."""
    return float(rng.choice((-1.0, 1.0)))
