"""Distortions by networks: denoising autoencoders drawn at random, after the paper's CNN-based distortions.

The paper trains 96 of them, for one epoch each, over a space of input corruptions, generators, discriminators and
losses (its Table 2). The goal of each is not to solve its task, but to leave the artifacts that such networks leave.
"""

from lpips_repro.cnn_distortions.config import AutoencoderConfig
from lpips_repro.cnn_distortions.family import CnnFamily
from lpips_repro.cnn_distortions.space import SPACE, draw_config

__all__ = ["SPACE", "AutoencoderConfig", "CnnFamily", "draw_config"]
