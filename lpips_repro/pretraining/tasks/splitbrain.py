"""The split-brain autoencoder (Zhang, Isola, Efros, "Split-Brain Autoencoders", CVPR 2017).

The network is two halves side by side that know nothing of each other: one sees the picture in grey (L of CIE Lab) and
is to say its chroma (a, b), the other sees the chroma and is to say the grey. Both answers are classifications: of
chroma into squares 10 wide that hold a colour of sRGB, of L into 100 steps; at each place of conv5's map, of the mean
colour there.

Other than there: the squares are 261, those that hold a colour, where the authors' hull of them has 313.
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
# Squares of the picture whose middles are the places of conv5's map: their side, and pixels before the first.
STRIDE, BORDER = 16, 9


@dataclass
class SplitBrainSettings(TaskConfig):
    """`configs/task/splitbrain.yaml`."""

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
    """The task of telling chroma from grey, and grey from chroma.

    Args:
        seed: of weights.
        side: of the picture, in pixels.
        hidden: numbers at each place between conv5 and the answer.
        recoloured: share of the pictures to learn from whose colours are changed.
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
        """Pictures in Lab (N, 3, side, side), and the numbers of chroma and of L at each place (N, 2, H, W)."""
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
        """Of chroma, (N, 261, H, W), and of L, (N, 100, H, W)."""
        grey, chroma = self.backbone(lab)[-1].chunk(2, dim=1)
        return self.to_chroma(grey), self.to_lightness(chroma)

    def loss(self, given: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of both cross-entropies."""
        losses = [functional.cross_entropy(*pair) for pair in zip(self.logits(given), wanted.unbind(1), strict=True)]
        return losses[0] + losses[1], {"chroma": losses[0], "lightness": losses[1]}

    def score(self, given: Tensor, wanted: Tensor) -> dict[str, Score]:
        """The share of places answered right, and of pairs of places matched with their two answers.

        Chance is, of the former, the answer right most often here; of the latter, one half. Pairs are of the same place
        in two pictures, with different answers: they are matched where the right way round is the more probable one.
        """
        scores = {}
        for name, logits, right in zip(("chroma", "lightness"), self.logits(given), wanted.unbind(1), strict=True):
            commonest = right.flatten().bincount().max().item() / right.numel()
            scores[f"{name}_right"] = Score((logits.argmax(dim=1) == right).float().mean().item(), commonest)
            scores[f"{name}_matched"] = Score(_matched(logits.log_softmax(dim=1), right), 0.5)
        return scores


def _matched(log_p: Tensor, right: Tensor) -> float:
    """The share of pairs matched, of log probabilities (N, classes, H, W) and right answers (N, H, W)."""
    other_log_p, other_right = log_p.roll(1, 0), right.roll(1, 0)

    def of(log_p: Tensor, answers: Tensor) -> Tensor:
        return log_p.gather(1, answers[:, None]).squeeze(1)

    ahead = of(log_p, right) + of(other_log_p, other_right) - of(log_p, other_right) - of(other_log_p, right)
    ahead = ahead[right != other_right]
    return ((ahead > 0).float() + 0.5 * (ahead == 0).float()).mean().item() if len(ahead) else 0.5


def chroma_squares() -> Tensor:
    """The middles (Q, 2) of the squares of the (a, b) plane that hold a colour of 8-bit sRGB."""
    levels = torch.linspace(0, 1, 256)
    face = torch.cartesian_prod(levels, levels, torch.tensor([0.0, 1.0]))
    # Whatever (a, b) a colour has, one on the faces of the cube has it too: the lightest of them, for one.
    rgb = torch.cat([face.roll(axis, dims=1) for axis in range(3)]).T[None, :, :, None]
    return (rgb_to_lab(rgb)[0, 1:, :, 0] / CHROMA_STEP).round().unique(dim=1).T * CHROMA_STEP


def _answer(hidden: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(CHANNELS[-1] // 2, hidden, 1), nn.BatchNorm2d(hidden), nn.ReLU(), nn.Conv2d(hidden, classes, 1)
    )
