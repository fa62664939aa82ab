"""BiGAN (Donahue, Krähenbühl, Darrell, "Adversarial Feature Learning", ICLR 2017).

A generator G maps noise z to pictures, an encoder E maps pictures x to noise, and a discriminator D classifies the
pairs (x, E(x)) and (G(z), z). E and G learn to make them indistinguishable. The optimum is reached if E and G are
inverse to each other. E, with one layer on top, is the network that is kept.

    D:      -log D(x, E(x)) - log(1 - D(G(z), z))
    E, G:   -log(1 - D(x, E(x))) - log D(G(z), z)

The losses do not show the quality: both are 2 log 2 if D cannot tell the pairs apart. The scores do: whether E(G(z)) is
nearer to z, and G(E(x)) nearer to x, than to other examples of the batch.

Differences from the paper: pictures of 64 pixels are encoded without resizing, and all three networks are small. z is
Gaussian, and each number of E(x) has mean 0 and variance 1 over a batch, so that D cannot use their range. D has
spectral normalization (Miyato et al., ICLR 2018) instead of batch normalization, without which it wins before G learns
anything. D compares its descriptions of picture and noise by an inner product (Miyato and Koyama, ICLR 2018). With
layers on top of both, it uses only pictures for many minutes, and E learns nothing.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from lpips_repro.backbones.caffenet import to_bgr
from lpips_repro.config import TaskConfig
from lpips_repro.config.checks import check_at_least
from lpips_repro.devices import send
from lpips_repro.errors import UserError
from lpips_repro.pretraining.tasks.task import PretextTask, Score, draw_views, register_task

SCALES = 4  # doublings from 4 pixels to 64
LEAK = 0.2


@dataclass
class BiganSettings(TaskConfig):
    """The settings of `configs/task/bigan.yaml`."""

    latents: int
    width: int
    hidden: int

    def __post_init__(self):
        super().__post_init__()
        for key in ("latents", "width", "hidden"):
            check_at_least(f"task.{key}", getattr(self, key), 1)
        if self.side != 64:
            raise UserError(f"task.side={self.side}: expected 64, which the generator makes")


@register_task("bigan", BiganSettings)
class Bigan(PretextTask):
    """The task of inverting a generator that learns at the same time.

    Args:
        seed: seed of the weights.
        side: side of pictures in pixels: 64, as the generator's.
        latents: size of z.
        width: channels of the largest maps of G and D; hidden: size of D's descriptions of a picture and of noise.
    """

    shown = ("discriminator_loss", "told_apart")
    scores = ("noise_found", "photograph_found")

    def __init__(self, *, seed: int, side: int, latents: int, width: int, hidden: int):
        super().__init__("caffenet-bn", seed)
        self.side, self.latents = side, latents
        with torch.no_grad():
            features = self.backbone.eval()(torch.zeros(1, 3, side, side))[-1].numel()
        self.backbone.train()
        self.to_latents = nn.Sequential(nn.Linear(features, latents), nn.BatchNorm1d(latents, affine=False))
        self.generator = _generator(latents, width)
        self.discriminator = _Discriminator(latents, width, hidden)

    def draw(self, crops: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, side, side) in [-1, 1] and noise (N, latents)."""
        pictures = draw_views(crops, self.side, generator)
        noise = torch.randn((len(crops), self.latents), generator=generator)
        return pictures, send(noise, crops.device)

    def encode(self, pictures: Tensor) -> Tensor:
        """E: (N, 3, side, side) to (N, latents)."""
        return self.to_latents(self.backbone(to_bgr(pictures))[-1].flatten(1))

    def loss(self, given: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of both losses, each of which has gradients only for its own networks."""
        encoded, generated = self.encode(given), self.generator(wanted)
        self.discriminator.requires_grad_(False)
        real, made = self.discriminator(given, encoded), self.discriminator(generated, wanted)
        deceiving = functional.softplus(real).mean() + functional.softplus(-made).mean()
        self.discriminator.requires_grad_(True)
        real, made = (self.discriminator(*pair) for pair in ((given, encoded.detach()), (generated.detach(), wanted)))
        telling = functional.softplus(-real).mean() + functional.softplus(made).mean()
        told_apart = ((real > 0).float().mean() + (made < 0).float().mean()) / 2
        return deceiving + telling, {"discriminator_loss": telling, "told_apart": told_apart}

    def score(self, given: Tensor, wanted: Tensor) -> dict[str, Score]:
        """The share of other examples of the batch that are farther from E(G(z)) than z is, and from G(E(x)) than x."""
        noise_again = self.encode(self.generator(wanted))
        pictures_again = self.generator(self.encode(given))
        return {
            "noise_found": Score(_nearer_than_others(noise_again, wanted), 0.5),
            "photograph_found": Score(_nearer_than_others(pictures_again, given), 0.5),
        }


class _Discriminator(nn.Module):
    """D: from pictures and noise to the log odds of (x, E(x)), (N,)."""

    def __init__(self, latents: int, width: int, hidden: int):
        super().__init__()
        channels = [3, *(width * 2**scale for scale in range(SCALES))]
        layers = []
        for before, after in itertools.pairwise(channels):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(LEAK)]
        layers += [nn.Flatten(), spectral_norm(nn.Linear(channels[-1] * 16, hidden)), nn.LeakyReLU(LEAK)]
        self.pictures = nn.Sequential(*layers)
        into, on = (spectral_norm(nn.Linear(numbers, hidden)) for numbers in (latents, hidden))
        self.noise = nn.Sequential(into, nn.LeakyReLU(LEAK), on)
        self.alone = spectral_norm(nn.Linear(hidden, 1))

    def forward(self, pictures: Tensor, noise: Tensor) -> Tensor:
        found = self.pictures(pictures)
        return self.alone(found).squeeze(1) + (found * self.noise(noise)).sum(dim=1)


def _generator(latents: int, width: int) -> nn.Sequential:
    """G: (N, latents) to (N, 3, 64, 64) in [-1, 1]."""
    channels = [width * 2**scale for scale in reversed(range(SCALES))]
    layers = [nn.Linear(latents, channels[0] * 16), nn.Unflatten(1, (channels[0], 4, 4))]
    for before, after in zip(channels, [*channels[1:], 3], strict=True):
        layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
    return nn.Sequential(*layers, nn.Tanh())


def _nearer_than_others(again: Tensor, right: Tensor) -> float:
    """The share of pairs of examples (i, j) for which `right[i]` is nearer to `again[i]` than `right[j]` is."""
    distance = torch.cdist(again.flatten(1), right.flatten(1))
    own = distance.diagonal()[:, None]
    nearer = (own < distance).float() + 0.5 * (own == distance).float()
    count = len(distance)
    return ((nearer.sum() - count / 2) / (count * (count - 1))).item()
