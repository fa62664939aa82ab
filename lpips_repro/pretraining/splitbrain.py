"""The split-brain autoencoder (Zhang, Isola, Efros, "Split-Brain Autoencoders", CVPR 2017).

The network is two halves side by side that know nothing of each other: one sees the picture in grey (L of CIE Lab) and
is to say its chroma (a, b), the other sees the chroma and is to say the grey. Both answers are classifications: of
chroma into squares 10 wide that hold a colour of sRGB, of L into 100 steps; at each place of conv5's map, of the mean
colour there.

Other than there: the squares are 261, those that hold a colour, where the authors' hull of them has 313.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lpips_repro.backbones.caffenet import CHANNELS, to_lab
from lpips_repro.color import rgb_to_lab
from lpips_repro.pretraining.task import PretextTask, Score, draw_views

CHROMA_STEP = 10
LIGHTNESS_STEPS = 100
# Squares of the picture whose middles are the places of conv5's map: their side, and pixels before the first.
STRIDE, BORDER = 16, 9


class SplitBrain(PretextTask):
    """The task of telling chroma from grey, and grey from chroma.

    Args:
        seed: of weights.
        side: of the picture, in pixels.
        hidden: numbers at each place between conv5 and the answer.
    """

    def __init__(self, *, seed: int, side: int, hidden: int):
        super().__init__("caffenet-split", seed)
        self.side = side
        self.register_buffer("chroma", chroma_squares())
        self.to_chroma = _answer(hidden, len(self.chroma))
        self.to_lightness = _answer(hidden, LIGHTNESS_STEPS)
        # How often each answer was right so far: all that one can know who does not look. One more of each at first.
        self.register_buffer("chroma_seen", torch.ones(len(self.chroma)))
        self.register_buffer("lightness_seen", torch.ones(LIGHTNESS_STEPS))

    def draw(self, crops: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures in Lab (N, 3, side, side), and the numbers of chroma and of L at each place (N, 2, H, W)."""
        lab = to_lab(draw_views(crops, self.side, generator))
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
        for seen, right in zip((self.chroma_seen, self.lightness_seen), wanted.unbind(1), strict=True):
            seen += right.flatten().bincount(minlength=len(seen))
        losses = [functional.cross_entropy(*pair) for pair in zip(self.logits(given), wanted.unbind(1), strict=True)]
        return sum(losses), {"chroma": losses[0], "lightness": losses[1]}

    def score(self, given: Tensor, wanted: Tensor) -> dict[str, Score]:
        """The share of places answered right, against that of the answer that was right most often."""
        scores = {}
        seen = self.chroma_seen, self.lightness_seen
        for name, logits, right, counts in zip(
            ("chroma", "lightness"), self.logits(given), wanted.unbind(1), seen, strict=True
        ):
            scores[f"{name}_accuracy"] = Score(_mean(logits.argmax(1) == right), _mean(right == counts.argmax()))
            prior = (counts / counts.sum()).log()
            scores[f"{name}_nll"] = Score(-functional.cross_entropy(logits, right).item(), _mean(prior[right]))
            lp = logits.log_softmax(1).permute(0, 2, 3, 1).flatten(0, 2)
            r = right.flatten()
            own = lp[torch.arange(len(r)), r]
            w = []
            for k in range(1, 12):
                sh = len(r) * k // 13
                j = torch.arange(len(r)).roll(sh)
                d = own + own[j] - lp[torch.arange(len(r)), r[j]] - lp[j, r]
                ok = r != r[j]
                w.append(_mean((d > 0)[ok]) + 0.5 * _mean((d == 0)[ok]))
            scores[f"{name}_match"] = Score(sum(w) / len(w), 0.5)
            w = []
            n = right[0].numel()
            for k in range(1, n):  # within a picture
                j = (torch.arange(len(r)) // n) * n + (torch.arange(len(r)) % n + k) % n
                d = own + own[j] - lp[torch.arange(len(r)), r[j]] - lp[j, r]
                ok = r != r[j]
                w.append(_mean((d > 0)[ok]) + 0.5 * _mean((d == 0)[ok]))
            scores[f"{name}_within"] = Score(sum(w) / len(w), 0.5)
        return scores


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


def _mean(values: Tensor) -> float:
    return values.float().mean().item()
