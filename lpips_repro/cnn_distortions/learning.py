"""Training of one autoencoder: one pass over crops of photographs."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lpips_repro.cnn_distortions.config import AutoencoderConfig
from lpips_repro.cnn_distortions.corruptions import corrupt
from lpips_repro.cnn_distortions.losses import PerceptualLoss
from lpips_repro.cnn_distortions.networks import Discriminator, Generator
from lpips_repro.config import Precision
from lpips_repro.devices import fixed_shapes, read_ahead, send
from lpips_repro.precision import tf32
from lpips_repro.progress import Progress
from lpips_repro.runs.example_order import epoch_order, mixed_seed
from lpips_repro.runs.optimizer import make_optimizer

CHECK_EVERY = 50  # steps between checks that the losses are finite, since each check waits for a GPU


class Learner:
    """A generator with its discriminator, losses and optimizers.

    Args:
        config: config of the autoencoder; seed: seed of its weights.
        perceptual: the loss over `config.perceptual_net`, on the device; not used if its weight is 0.
        device: the device of training; precision: the precision of convolutions.
    """

    def __init__(
        self,
        config: AutoencoderConfig,
        seed: int,
        perceptual: PerceptualLoss | None,
        device: torch.device,
        precision: Precision = Precision.float32,
    ) -> None:
        self.config, self.device, self.precision = config, device, precision
        self.perceptual = perceptual if config.perceptual else None
        torch.manual_seed(seed)
        self.generator = self._placed(Generator(config))
        self.discriminator = self._placed(Discriminator(config.discriminator_layers)) if config.adversarial else None
        learning = [network for network in (self.generator, self.discriminator) if network is not None]
        self.optimizers = [make_optimizer(network, config.learning_rate) for network in learning]

    def step(self, given: Tensor, wanted: Tensor) -> Tensor:
        """Take one step.

        Args:
            given: corrupted images (N, 3, H, W); wanted: the images in [0, 1]. Both are on the device.

        Returns:
            The weighted sum of the generator's losses: a detached scalar on the device, which is not waited for.
        """
        of_generator, *of_discriminator = self.optimizers
        with fixed_shapes(self.device), tf32(self.precision is Precision.tf32):
            made, loss = self._loss(given, wanted)
            of_generator.zero_grad()
            loss.backward()
            of_generator.step()
            if self.discriminator is not None:
                self._step_discriminator(of_discriminator[0], made.detach(), wanted)
        return loss.detach()

    def _loss(self, given: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        config = self.config
        with self._autocast():
            made = self.generator(given)
            loss = config.l1 * functional.l1_loss(made, wanted)
            if self.perceptual is not None:
                loss = loss + config.perceptual * self.perceptual(made, wanted)
            if self.discriminator is not None:
                self.discriminator.requires_grad_(False)
                loss = loss + config.adversarial * functional.softplus(-self.discriminator(made).float()).mean()
                self.discriminator.requires_grad_(True)
        return made, loss

    def _step_discriminator(self, optimizer: torch.optim.Optimizer, made: Tensor, wanted: Tensor) -> None:
        assert self.discriminator is not None
        with self._autocast():
            real, false = (self.discriminator(images).float() for images in (wanted, made))
        optimizer.zero_grad()
        (functional.softplus(-real).mean() + functional.softplus(false).mean()).backward()
        optimizer.step()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision is Precision.bfloat16)

    def _placed(self, network: nn.Module) -> nn.Module:
        return network.to(self.device).to(memory_format=torch.channels_last)


def examples(
    config: AutoencoderConfig, crops: np.ndarray, numbers: np.ndarray, seeds: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The input of a network, and the output that it learns: float32 (N, 3, H, W) each.

    Args:
        config: has the corruption.
        crops: uint8 (M, H, W, 3); numbers: the indices (N,) of those that are used.
        seeds: seeds of the noise.
    """
    rng = np.random.default_rng(list(seeds))
    wanted = crops[numbers].astype(np.float32) / 255
    given = np.stack([corrupt(image, config.corruption, config.amount, rng) for image in wanted])
    return given.transpose(0, 3, 1, 2), wanted.transpose(0, 3, 1, 2)


def learn(learner: Learner, crops: np.ndarray, batch_size: int, seeds: tuple[int, int], said: str) -> bool:
    """Train for one pass over crops in random order, without a last incomplete batch.

    Args:
        learner: what learns.
        crops: uint8 (N, H, W, 3), read in batches; batch_size: crops per step.
        seeds: the seed of the draw, and the number of the autoencoder. Order and noise depend on both.
        said: the name of the progress bar.

    Returns:
        Whether all losses were finite. If one is not, training ends at the next check.
    """
    order = epoch_order(mixed_seed(*seeds), 0, len(crops))
    steps = len(crops) // batch_size

    def read(step: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.sort(order[step * batch_size : (step + 1) * batch_size])
        return examples(learner.config, crops, numbers, (*seeds, step))

    finite = torch.ones((), dtype=torch.bool, device=learner.device)
    batches = read_ahead(read, range(steps))
    try:
        for step, (given, wanted) in enumerate(Progress(batches, said, steps), 1):
            finite &= learner.step(*(_sent(images, learner.device) for images in (given, wanted))).isfinite()
            if (step % CHECK_EVERY == 0 or step == steps) and not finite:
                return False
    finally:
        batches.close()
    return True


def _sent(images: np.ndarray, device: torch.device) -> Tensor:
    # The arrays are transposed views of (N, H, W, 3), so they are already channels last.
    return send(images, device)
