"""Distortions by networks: denoising autoencoders drawn at random, as the paper's CNN-based distortions.

The paper trains 96 of them, each for one epoch. They are drawn from a space of input corruptions, generators,
discriminators and losses (its Table 2). They need not solve their tasks: their artifacts are the distortions.
"""

from lpips_repro.cnn_distortions.config import AutoencoderConfig
from lpips_repro.cnn_distortions.family import CnnFamily
from lpips_repro.cnn_distortions.space import SPACE, draw_config

__all__ = ["SPACE", "AutoencoderConfig", "CnnFamily", "draw_config"]
