"""What is trained: the distance of LPIPS with its lin weights as one vector, and the ranking loss on top."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lpips_repro.backbones import BACKBONES
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.released import lin_key
from lpips_repro.training.ranking import RankingLoss

DROPOUT = 0.5  # paper, appendix B: on the squared differences, before each layer of lin weights


class RankingModel(nn.Module):
    """A distance that learns from judgments.

    Args:
        net, version, weights: backbone, version and backbone parameters, as for `LPIPS`.
        variant: "lin" (the backbone is frozen), "tune" or "scratch" (everything learns).
        activation: of the ranking network, a key of `lpips_repro.training.ranking.ACTIVATIONS`.
        dropout: whether to drop half of the squared differences in training, as the paper does.
        released_clamp: reproduce a bug of the released code, which clamps the backbone's own 1x1 convolutions to
            >= 0 as well, and lin weights not before the first step.

    Attributes:
        metric: the distance off the shelf, whose backbone is trained (or not).
        lin: the lin weights of all layers, one after the other (sum of channels,), never negative.
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
        self.channels = BACKBONES[net].channels
        # As PyTorch initialises a 1x1 convolution without bias: uniform in +-1 / sqrt(C).
        self.lin = nn.Parameter(torch.cat([torch.empty(c).uniform_(-(c**-0.5), c**-0.5) for c in self.channels]))
        self.ranking = RankingLoss(activation)
        self.metric.backbone.requires_grad_(variant != "lin")
        if not released_clamp:
            self.project()

    def distances(
        self, ref: Tensor, p0: Tensor, p1: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """The distances of p0 and p1 from ref, (N,) each.

        Args:
            ref, p0, p1: images (N, 3, H, W) in [-1, 1].
            generator: draws the dropout; None leaves it out, as for validation.
        """
        with torch.set_grad_enabled(self.variant != "lin" and torch.is_grad_enabled()):
            maps_ref, maps_p0, maps_p1 = self.metric.unit_feature_maps((ref, p0, p1))
        d0 = d1 = torch.zeros((), dtype=ref.dtype, device=ref.device)
        for weight, f, f0, f1 in zip(self.lin.split(self.channels), maps_ref, maps_p0, maps_p1, strict=True):
            d0 = d0 + self._channel_means((f - f0).square(), generator) @ weight
            d1 = d1 + self._channel_means((f - f1).square(), generator) @ weight
        return d0, d1

    def _channel_means(self, squared: Tensor, generator: torch.Generator | None) -> Tensor:
        if self.dropout and generator is not None:
            keep = 1 - DROPOUT
            squared = squared * torch.empty_like(squared).bernoulli_(keep, generator=generator) / keep
        return squared.mean(dim=(2, 3))

    def distances_from_features(
        self, mean: Tensor, noise: Tensor | None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """The same from stored features: see `lpips_repro.training.features`.

        Args:
            mean, noise: (N, 2, sum of channels), for p0 and p1: each channel's mean squared difference, and the
                standard deviation that dropout gives it (not needed without a generator).
            generator: as for `distances`.
        """
        if self.dropout and generator is not None:
            mean = mean + noise * torch.empty_like(noise).normal_(generator=generator)
        d0, d1 = (mean @ self.lin).unbind(1)
        return d0, d1

    @torch.no_grad()
    def project(self) -> None:
        """Put back to zero what a step has made negative."""
        self.lin.clamp_(min=0)
        self.clamp_backbone()

    @torch.no_grad()
    def clamp_backbone(self) -> None:
        """What the released clamp does to the backbone, where it is asked for."""
        if self.released_clamp:
            for module in self.metric.backbone.modules():
                if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
                    module.weight.clamp_(min=0)

    def trained_state(self) -> dict[str, Tensor]:
        """The parameters that training changes."""
        frozen = self.variant == "lin" and not self.released_clamp
        return {k: v for k, v in self.state_dict().items() if not (frozen and k.startswith("metric."))}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `trained_state` gave."""
        self.load_state_dict({**self.state_dict(), **state})

    def lin_by_layer(self) -> tuple[Tensor, ...]:
        """The lin weights of each layer, (C,)."""
        return self.lin.detach().split(self.channels)

    def lin_state(self) -> dict[str, Tensor]:
        """The lin weights under the released keys `linK.model.1.weight`, each (1, C, 1, 1)."""
        return {lin_key(layer): part.clone().view(1, -1, 1, 1) for layer, part in enumerate(self.lin_by_layer())}

    def trained_metric(self) -> LPIPS:
        """The metric as it stands, frozen, on its own copy of the parameters, where the model is."""
        net, version, weights = self.metric.backbone.name, self.metric.version, self.metric.backbone.state_dict()
        return LPIPS(net, self.variant, version, weights=weights, lin_weights=self.lin_state()).to(self.lin.device)
