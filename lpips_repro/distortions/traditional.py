"""The traditional distortions as a family: single distortions and the paper's 308 pairs."""

import hashlib
from pathlib import Path

import numpy as np

from lpips_repro.distortions.compose import distort, draw_steps
from lpips_repro.distortions.family import Application
from lpips_repro.distortions.registry import DISTORTIONS
from lpips_repro.errors import UserError


class Traditional:
    """See `Family`. The parameter of an application is its severity."""

    name = "traditional"

    @property
    def digest(self) -> str:
        """SHA-256 of the files of this package."""
        sha = hashlib.sha256()
        for file in sorted(Path(__file__).parent.glob("*.py")):
            sha.update(f"{file.name}\n".encode())
            sha.update(file.read_bytes())
        return sha.hexdigest()

    @property
    def names(self) -> list[str]:
        """See `Family`."""
        return sorted(DISTORTIONS)

    def draw(self, rng: np.random.Generator, low: float, high: float) -> list[Application]:
        """See `Family`."""
        steps = draw_steps(rng, low, high)
        return [Application(self.name, name, {"severity": severity}, _seed(rng)) for name, severity in steps]

    def apply(self, image: np.ndarray, application: Application) -> np.ndarray:
        """See `Family`; raises UserError if the distortion does not exist or the severity is not in [0, 1]."""
        severity = application.parameters.get("severity")
        if not isinstance(severity, float | int):
            raise UserError(f"severity {severity} of {application.name}: expected a number in [0, 1]")
        return distort(image, [(application.name, severity)], application.seed)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**63))
