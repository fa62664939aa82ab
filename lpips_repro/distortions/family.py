"""What a family of distortions gives, so that examples can be made with it and made again from their recipes."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

Value = str | int | float | bool


class Application(NamedTuple):
    """One distortion of one image, as plain values.

    Attributes:
        family: name of the family, such as "traditional" or "cnn".
        name: of the distortion in it.
        parameters: that it is applied with, such as {"severity": 0.61}.
        seed: of everything that is random in it, in [0, 2^63).
    """

    family: str
    name: str
    parameters: dict[str, Value]
    seed: int


class Family(Protocol):
    """Distortions that can be drawn and applied."""

    @property
    def digest(self) -> str:
        """What changes if an application may give other pixels."""

    @property
    def names(self) -> Sequence[str]:
        """Of its distortions."""

    def draw(self, rng: np.random.Generator, low: float, high: float) -> list[Application]:
        """Draw one distortion or a sequence.

        Args:
            rng: where it is drawn from.
            low: least severity; high: largest; of distortions that have one.
        """

    def apply(self, image: np.ndarray, application: Application) -> np.ndarray:
        """Distort an image: the same application gives the same bits on the same machine.

        Args:
            image: float32 RGB (H, W, 3) in [0, 1], which is not changed; application: from `draw`.

        Returns:
            Another one.
        """
