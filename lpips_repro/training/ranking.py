"""The ranking loss (paper, section 3.2 and appendix B): from two distances to the judges' choice.

A small network G maps (d0, d1) to the probability that a judge chooses p1. The loss is its binary cross-entropy against
h, the share of judges who chose p1.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The paper says ReLU; the released code uses LeakyReLU(0.2).
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "leaky_relu": lambda: nn.LeakyReLU(0.2)}
HIDDEN = 32
# Added to denominators of ratios of distances, as in the released code.
RATIO_EPSILON = 0.1


class RankingLoss(nn.Module):
    """The network G and its loss.

    Args:
        activation: a key of `ACTIVATIONS`.
    """

    def __init__(self, activation: str):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(5, HIDDEN),
            ACTIVATIONS[activation](),
            nn.Linear(HIDDEN, HIDDEN),
            ACTIVATIONS[activation](),
            nn.Linear(HIDDEN, 1),
        )

    def logit(self, d0: Tensor, d1: Tensor) -> Tensor:
        """The logit of the probability that a judge chooses p1, (N,), for distances d0 and d1, (N,)."""
        ratios = d0 / (d1 + RATIO_EPSILON), d1 / (d0 + RATIO_EPSILON)
        return self.net(torch.stack((d0, d1, d0 - d1, *ratios), dim=1)).squeeze(1)

    def forward(self, d0: Tensor, d1: Tensor, judge: Tensor) -> Tensor:
        """The mean binary cross-entropy; judge: share of judges who chose p1, (N,), in [0, 1]."""
        # On logits, which is exact even if the sigmoid saturates. The released code's BCELoss is the same function.
        return F.binary_cross_entropy_with_logits(self.logit(d0, d1), judge)
