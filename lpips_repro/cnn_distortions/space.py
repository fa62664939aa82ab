"""The space from which autoencoders are drawn, and the draw.

The paper's Table 2 names the parameters; the values are ours. `kernel`, `activation` and the amount of a corruption are
not in this table.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lpips_repro.cnn_distortions.config import AutoencoderConfig
from lpips_repro.cnn_distortions.corruptions import CORRUPTIONS
from lpips_repro.cnn_distortions.layers import ACTIVATIONS, NORMALIZATIONS, UPSAMPLINGS

# All values have the same probability. `draw_config` draws what depends on another parameter.
SPACE: dict[str, tuple] = {
    "corruption": tuple(CORRUPTIONS),
    "layers": (1, 2, 3, 4),
    "kernel": (3, 5),
    "first_stride": (1, 2),
    "first_channels": (8, 16, 32),
    "most_channels": (64, 128, 256),
    "forced_skip": (False, True),
    "upsampling": tuple(UPSAMPLINGS),
    "normalization": tuple(NORMALIZATIONS),
    "activation": tuple(ACTIVATIONS),
    "learning_rate": (1e-4, 2e-4, 5e-4, 1e-3, 2e-3),
    "discriminator_layers": (1, 2, 3, 4),
    "adversarial": (0.0, 0.01, 0.1, 1.0),
    "l1": (0.0, 1.0, 10.0, 100.0),
    "perceptual": (0.0, 0.1, 1.0, 10.0),
}


def draw_config(seed: int, number: int, perceptual_net: str | None) -> AutoencoderConfig:
    """Draw the config of an autoencoder. It depends only on the arguments.

    At least one loss must compare the output with the image: if `l1` and `perceptual` are both 0, both are drawn again.
    If `adversarial` is 0, there is no discriminator.

    Args:
        seed: seed of the draw; number: number of the autoencoder.
        perceptual_net: the network of the perceptual loss; None: no such loss.
    """
    rng = np.random.default_rng([seed, number])
    drawn: dict[str, Any] = {name: _one_of(values, rng) for name, values in SPACE.items()}
    amount = _one_of(CORRUPTIONS[drawn["corruption"]].amounts, rng)
    skips, dropout = (_some_of(drawn["layers"], rng) for _ in range(2))
    if drawn["adversarial"] == 0:
        drawn["discriminator_layers"] = 0
    while True:
        if perceptual_net is None:
            drawn["perceptual"] = 0.0
        if drawn["l1"] or drawn["perceptual"]:
            break
        drawn |= {name: _one_of(SPACE[name], rng) for name in ("l1", "perceptual")}
    return AutoencoderConfig(**drawn, amount=amount, skips=skips, dropout=dropout, perceptual_net=perceptual_net)


def _one_of(values: Sequence, rng: np.random.Generator) -> Any:
    return values[int(rng.integers(len(values)))]


def _some_of(layers: int, rng: np.random.Generator) -> tuple[bool, ...]:
    """For each layer, whether it is chosen: the number of chosen layers is drawn first, then the layers."""
    chosen = set(rng.permutation(layers)[: rng.integers(layers + 1)].tolist())
    return tuple(layer in chosen for layer in range(layers))
