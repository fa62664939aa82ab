"""The paper's traditional distortions (section 2.1), with continuous severity, singly and in sequence."""

# Imported for their registrations.
from lpips_repro.datasets.distortions import blur, compression, noise, photometric, spatial  # noqa: F401
from lpips_repro.datasets.distortions.compose import Step, distort, draw_steps
from lpips_repro.datasets.distortions.registry import DISTORTIONS, Distortion, register_distortion

__all__ = ["DISTORTIONS", "Distortion", "Step", "distort", "draw_steps", "register_distortion"]
