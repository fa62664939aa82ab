"""The paper's traditional distortions (section 2.1), with continuous severity, single and in sequence."""

from lpips_repro.distortions import blur, compression, noise, photometric, spatial  # registers them
from lpips_repro.distortions.compose import Step, distort, draw_steps, pairs_across_groups, paper_pairs
from lpips_repro.distortions.registry import DISTORTIONS, Amount, Distortion, register_distortion

__all__ = [
    "DISTORTIONS",
    "Amount",
    "Distortion",
    "Step",
    "blur",
    "compression",
    "distort",
    "draw_steps",
    "noise",
    "pairs_across_groups",
    "paper_pairs",
    "photometric",
    "register_distortion",
    "spatial",
]
