"""The trained model: LPIPS with its lin weights as one vector, and the ranking loss."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from lpips_repro.backbones import BACKBONES, map_shapes
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.released import lin_key
from lpips_repro.runs.step_mode import compile_forward, compiled_with_gradient
from lpips_repro.training.batch import Batch, FeatureBatch
from lpips_repro.training.differences import channel_means
from lpips_repro.training.dropout import Dropout
from lpips_repro.training.ranking import RankingLoss


class RankingModel(nn.Module):
    """A distance that learns from judgments.

    Args:
        net, version, weights: backbone, version and backbone parameters, as for `LPIPS`.
        variant: "lin" (the backbone is frozen), "tune" or "scratch" (all parameters are trained, but batch
            normalization keeps its initial statistics: the backbone stays in eval mode).
        activation: activation of the ranking network, a key of `lpips_repro.training.ranking.ACTIVATIONS`.
        dropout: whether to drop half of the squared differences in training, as in the paper.
        released_clamp: reproduce a bug of the released code, which also clamps the backbone's 1x1 convolutions to >= 0,
            and does not clamp lin weights before the first step.

    Attributes:
        metric: the metric off the shelf, with the backbone.
        steps_in_bfloat16: whether the backbone computes in bfloat16 if gradients are enabled: in steps, but not in
            validation.
        lin: the lin weights of all layers, (sum of channels,), never negative.
    """

    def __init__(
        self,
        net: str,
        variant: str,
        version: str,
        weights: Mapping[str, Tensor],
        *,
        activation: str = "leaky_relu",
        dropout: bool = True,
        released_clamp: bool = False,
    ):
        super().__init__()
        self.metric = LPIPS(net, "off_the_shelf", version, weights)
        self.variant, self.dropout, self.released_clamp = variant, dropout, released_clamp
        self.steps_in_bfloat16 = False
        self._compiled_distances: Callable[..., tuple[Tensor, ...]] | None = None
        self.channels = BACKBONES[net].channels
        # As PyTorch initializes a 1x1 convolution without bias: uniform in +-1 / sqrt(C).
        self.lin = nn.Parameter(torch.cat([torch.empty(c).uniform_(-(c**-0.5), c**-0.5) for c in self.channels]))
        self.ranking = RankingLoss(activation)
        self.metric.backbone.requires_grad_(variant != "lin")
        if not released_clamp:
            self.project()

    def distances(self, batch: Batch, dropout: Dropout | None = None) -> tuple[Tensor, Tensor]:
        """The distances of p0 and of p1 from ref, each (N,).

        Args:
            batch: images or stored features.
            dropout: random draws for the triplets; None for no dropout, as in validation.
        """
        draws = dropout if self.dropout else None
        if isinstance(batch, FeatureBatch):
            d0, d1 = (_drawn_means(batch, draws) @ self.lin).unbind(1)
            return d0, d1
        words = None
        if draws is not None:
            words = draws.words(len(batch.ref), map_shapes(self.metric.backbone.name, *batch.ref.shape[2:]))
        image_distances = self._compiled_distances or self._image_distances
        d0, d1 = image_distances(self.metric.preprocess(batch), words)
        return d0, d1

    def _image_distances(self, images: Tensor, words: Sequence[Tensor | None] | None) -> tuple[Tensor, ...]:
        """The distances from preprocessed images ref, p0 and p1, one after the other (3N, 3, H, W)."""
        learning = torch.is_grad_enabled()
        with (
            torch.set_grad_enabled(learning and self.variant != "lin"),
            torch.autocast(images.device.type, torch.bfloat16, enabled=learning and self.steps_in_bfloat16),
        ):
            maps = self.metric.backbone(images)
        means = [channel_means(m, w) for m, w in zip(maps, words or [None] * len(maps), strict=True)]
        return (torch.cat(means, dim=2) @ self.lin).unbind(1)

    def compile_steps(self, triplets: int) -> None:
        """Compile forward and backward of a step on images, for batches of `triplets` triplets.

        Batches of another size, and calls without gradient, run uncompiled.
        """
        self._compiled_distances = compiled_with_gradient(self._image_distances, 3 * triplets)
        compile_forward(self.ranking, triplets)

    @torch.no_grad()
    def project(self) -> None:
        """Clamp lin weights to >= 0 after a step."""
        self.lin.clamp_(min=0)
        self.clamp_backbone()

    @torch.no_grad()
    def clamp_backbone(self) -> None:
        """Clamp the backbone as the released code does, with `released_clamp`."""
        if self.released_clamp:
            for module in self.metric.backbone.modules():
                if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
                    module.weight.clamp_(min=0)

    def trained_state(self) -> dict[str, Tensor]:
        """The parameters that training changes."""
        frozen = self.variant == "lin" and not self.released_clamp
        return {k: v for k, v in self.state_dict().items() if not (frozen and k.startswith("metric."))}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Load a result of `trained_state`."""
        self.load_state_dict({**self.state_dict(), **state})

    def lin_by_layer(self) -> tuple[Tensor, ...]:
        """The lin weights of each layer, (C,) each."""
        return self.lin.detach().split(self.channels)

    def lin_state(self) -> dict[str, Tensor]:
        """The lin weights under the released keys `linK.model.1.weight`, each (1, C, 1, 1)."""
        return {lin_key(layer): part.clone().view(1, -1, 1, 1) for layer, part in enumerate(self.lin_by_layer())}

    def trained_metric(self) -> LPIPS:
        """The current metric, frozen, with its own copy of the parameters, on the model's device."""
        net, version, weights = self.metric.backbone.name, self.metric.version, self.metric.backbone.state_dict()
        return LPIPS(net, self.variant, version, weights=weights, lin_weights=self.lin_state()).to(self.lin.device)


def _drawn_means(batch: FeatureBatch, dropout: Dropout | None) -> Tensor:
    """The channel means of stored features under dropout, (N, 2, sum of channels)."""
    if dropout is None:
        return batch.mean
    if batch.noise is None:
        raise ValueError("features without noise: dropout cannot be drawn")
    return batch.mean + batch.noise * dropout.normal(batch.noise)
