"""The split-brain autoencoder (Zhang, Isola, Efros, "Split-Brain Autoencoders", CVPR 2017).

The network has two separate halves: one predicts the chroma (a, b) from the gray picture (L of CIE Lab), the other
predicts the gray picture from the chroma. Both classify the mean color at each place of conv5's map: chroma into
squares with sides of 10 that contain a color of sRGB, L into 100 steps.

Difference from the paper: there are 261 squares, those that contain a color; the authors' set has 313.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lpips_repro.backbones.caffenet import CHANNELS, to_lab
from lpips_repro.color import rgb_to_lab
from lpips_repro.config import TaskConfig
from lpips_repro.config.checks import check_at_least
from lpips_repro.errors import UserError
from lpips_repro.pretraining.tasks.task import PretextTask, Score, draw_views, recolour, register_task

CHROMA_STEP = 10
LIGHTNESS_STEPS = 100
# Squares of the picture around the places of conv5's map: their side, and the pixels before the first one.
STRIDE, BORDER = 16, 9


@dataclass
class SplitBrainSettings(TaskConfig):
    """The settings of `configs/task/splitbrain.yaml`."""

    hidden: int
    recoloured: float

    def __post_init__(self):
        super().__post_init__()
        check_at_least("task.hidden", self.hidden, 1)
        if not 0 <= self.recoloured <= 1:
            raise UserError(f"task.recoloured={self.recoloured}: expected a share in [0, 1]")
        if self.side < 35 or self.side % 16 != 3:
            raise UserError(f"task.side={self.side}: expected 35, 51, 67, ...: conv5's map then fits the picture")


@register_task("splitbrain", SplitBrainSettings)
class SplitBrain(PretextTask):
    """The task of predicting chroma from gray, and gray from chroma.

    Args:
        seed: seed of the weights.
        side: side of the picture in pixels.
        hidden: channels between conv5 and the answer.
        recoloured: share of training pictures whose colors are changed.
    """

    chroma: Tensor
    shown = ("chroma", "lightness")
    scores = ("chroma_right", "chroma_matched", "lightness_right", "lightness_matched")

    def __init__(self, *, seed: int, side: int, hidden: int, recoloured: float):
        super().__init__("caffenet-split", seed)
        self.side, self.recoloured = side, recoloured
        self.register_buffer("chroma", chroma_squares())
        self.to_chroma = _answer(hidden, len(self.chroma))
        self.to_lightness = _answer(hidden, LIGHTNESS_STEPS)

    def draw(self, crops: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures in Lab (N, 3, side, side), and the classes of chroma and of L at each place (N, 2, H, W)."""
        views = draw_views(crops, self.side, generator)
        if self.training:
            views = recolour(views, self.recoloured, generator)
        lab = to_lab(views)
        end = BORDER + (self.side - BORDER) // STRIDE * STRIDE
        mean = functional.avg_pool2d(lab[:, :, BORDER:end, BORDER:end], STRIDE)
        chroma = torch.cdist(mean[:, 1:].flatten(2).transpose(1, 2), self.chroma).argmin(dim=2).view_as(mean[:, 0])
        lightness = (mean[:, 0] + 50).clamp(0, LIGHTNESS_STEPS - 1).long()
        return lab, torch.stack((chroma, lightness), dim=1)

    def logits(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of chroma, (N, 261, H, W), and of L, (N, 100, H, W)."""
        gray, chroma = self.backbone(lab)[-1].chunk(2, dim=1)
        return self.to_chroma(gray), self.to_lightness(chroma)

    def loss(self, given: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of both cross-entropies."""
        losses = [functional.cross_entropy(*pair) for pair in zip(self.logits(given), wanted.unbind(1), strict=True)]
        return losses[0] + losses[1], {"chroma": losses[0], "lightness": losses[1]}

    def score(self, given: Tensor, wanted: Tensor) -> dict[str, Score]:
        """The shares of correct places, and of correctly matched pairs of places.

        A pair is the same place in two pictures with different classes. It is matched if the right assignment of the
        two classes is more probable than the wrong one. Chance is the share of the most frequent class for places, and
        one half for pairs.
        """
        scores = {}
        for name, logits, right in zip(("chroma", "lightness"), self.logits(given), wanted.unbind(1), strict=True):
            commonest = right.flatten().bincount().max().item() / right.numel()
            scores[f"{name}_right"] = Score((logits.argmax(dim=1) == right).float().mean().item(), commonest)
            scores[f"{name}_matched"] = Score(_matched(logits.log_softmax(dim=1), right), 0.5)
        return scores


def _matched(log_p: Tensor, right: Tensor) -> float:
    """The share of matched pairs, for log probabilities (N, classes, H, W) and right classes (N, H, W)."""
    other_log_p, other_right = log_p.roll(1, 0), right.roll(1, 0)

    def of(log_p: Tensor, answers: Tensor) -> Tensor:
        return log_p.gather(1, answers[:, None]).squeeze(1)

    ahead = of(log_p, right) + of(other_log_p, other_right) - of(log_p, other_right) - of(other_log_p, right)
    ahead = ahead[right != other_right]
    return ((ahead > 0).float() + 0.5 * (ahead == 0).float()).mean().item() if len(ahead) else 0.5


def chroma_squares() -> Tensor:
    """The centers (Q, 2) of the squares of the (a, b) plane that contain a color of 8-bit sRGB."""
    levels = torch.linspace(0, 1, 256)
    face = torch.cartesian_prod(levels, levels, torch.tensor([0.0, 1.0]))
    # The lightest color with given (a, b) is on the faces of the cube, so that the faces have all (a, b).
    rgb = torch.cat([face.roll(axis, dims=1) for axis in range(3)]).T[None, :, :, None]
    return (rgb_to_lab(rgb)[0, 1:, :, 0] / CHROMA_STEP).round().unique(dim=1).T * CHROMA_STEP


def _answer(hidden: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(CHANNELS[-1] // 2, hidden, 1), nn.BatchNorm2d(hidden), nn.ReLU(), nn.Conv2d(hidden, classes, 1)
    )
