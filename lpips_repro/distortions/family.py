"""The interface of a family of distortions, with which examples are made, and made again from their recipes."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

Value = str | int | float | bool


class Application(NamedTuple):
    """One distortion of one image, as plain values.

    Attributes:
        family: name of the family, such as "traditional" or "cnn".
        name: name of the distortion in the family.
        parameters: its parameters, such as {"severity": 0.61}.
        seed: seed of its random numbers, in [0, 2^63).
    """

    family: str
    name: str
    parameters: dict[str, Value]
    seed: int


class Family(Protocol):
    """Distortions that can be drawn and applied."""

    @property
    def digest(self) -> str:
        """A digest that changes if an application may give other pixels."""

    @property
    def names(self) -> Sequence[str]:
        """The names of its distortions."""

    def draw(self, rng: np.random.Generator, low: float, high: float) -> list[Application]:
        """Draw one distortion or a sequence.

        Args:
            rng: the source of randomness.
            low: least severity; high: largest severity. Distortions without a severity ignore both.
        """

    def apply(self, image: np.ndarray, application: Application) -> np.ndarray:
        """Distort an image: the same application gives the same bits on the same machine.

        Args:
            image: float32 RGB (H, W, 3) in [0, 1]; not changed.
            application: from `draw`.

        Returns:
            The distorted image, float32 (H, W, 3) in [0, 1].
        """
