"""Jigsaw puzzles (Noroozi and Favaro, "Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles",
2016).

The network sees nine tiles of a picture separately, in a permutation from a fixed set, and predicts the permutation.
Some measures prevent solutions without looking at the content: each tile has a random place in its cell, so that there
are gaps; it is normalized to a mean and a standard deviation; its color channels are shifted against each other; and
some puzzles are gray.

Differences from the paper: the first layer keeps its stride of 4, and the layers on top of conv5 have batch
normalization.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lpips_repro.config import TaskConfig
from lpips_repro.config.checks import check_at_least
from lpips_repro.errors import UserError
from lpips_repro.pretraining.permutations import distant_permutations
from lpips_repro.pretraining.tasks.task import PretextTask, Score, draw_views, register_task, send_draws

CELLS = 3  # along a side
CHANNEL_SHIFT = 1  # most pixels
GREY_SHARE = 0.3
# Standard deviation of a normalized tile: about that of photographs in [0, 255], the metric's input to the network.
TILE_SCALE = 58.0
# Each is chosen among all 9! by its distance from those before, which takes seconds. The paper has up to 1000.
MOST_PERMUTATIONS = 2000
FLAT = 2 / 255  # added to standard deviations, so that flat tiles do not become noise


@dataclass
class PuzzleSettings(TaskConfig):
    """The settings of `configs/task/puzzle.yaml`."""

    tile: int
    permutations: int
    features: int
    hidden: int

    def __post_init__(self):
        super().__post_init__()
        check_at_least("task.tile", self.tile, 23)  # the smallest tile for which conv5 has a place
        check_at_least("task.side", self.side, 3 * (self.tile + 1))  # a tile can move by a pixel in its cell
        check_at_least("task.features", self.features, 1)
        check_at_least("task.hidden", self.hidden, 1)
        if not 2 <= self.permutations <= MOST_PERMUTATIONS:
            raise UserError(f"task.permutations={self.permutations}: expected an integer from 2 to {MOST_PERMUTATIONS}")


@register_task("puzzle", PuzzleSettings)
class Puzzle(PretextTask):
    """The task of predicting the permutation of tiles.

    Args:
        seed: seed of weights and permutations.
        side: side of the picture in pixels; tile: side of a tile; a cell has a third of the picture's side.
        permutations: number of permutations.
        features: size of the description of a tile; hidden: size of the layer that combines the descriptions.
    """

    orders: Tensor
    shown = ("accuracy",)
    scores = ("accuracy",)

    def __init__(self, *, seed: int, side: int, tile: int, permutations: int, features: int, hidden: int):
        super().__init__("caffenet", seed)
        self.side, self.tile = side, tile
        self.register_buffer("orders", torch.from_numpy(distant_permutations(permutations, seed)))
        with torch.no_grad():
            width = self.backbone(torch.zeros(1, 3, tile, tile))[-1].numel()
        self.describe = nn.Sequential(nn.Linear(width, features), nn.BatchNorm1d(features), nn.ReLU())
        self.answer = nn.Sequential(
            nn.Linear(CELLS**2 * features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, permutations)
        )

    def draw(self, crops: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Normalized and permuted tiles (N, 9, 3, tile, tile), and the numbers of the permutations (N,)."""
        count, device = len(crops), crops.device
        views = draw_views(crops, self.side, generator)
        gray = torch.rand((count, 1, 1, 1), generator=generator) < GREY_SHARE
        cell = self.side // CELLS
        room = cell - self.tile - CHANNEL_SHIFT
        place = torch.randint(room + 1, (count, CELLS**2, 1, 2), generator=generator)
        place = place + torch.randint(CHANNEL_SHIFT + 1, (count, CELLS**2, 3, 2), generator=generator)
        wanted = torch.randint(len(self.orders), (count,), generator=generator)
        gray, place, wanted = send_draws(device, gray, place, wanted)

        views = torch.where(gray, views.mean(dim=1, keepdim=True), views)
        cells = self.orders[wanted]
        corner = torch.stack((cells // CELLS, cells % CELLS), dim=-1)[:, :, None] * cell + place
        along = torch.arange(self.tile, device=device)
        rows, columns = (corner[..., axis, None] + along for axis in (0, 1))  # (N, 9, 3, tile)
        number = torch.arange(count, device=device)[:, None, None, None, None]
        channel = torch.arange(3, device=device)[:, None, None]
        tiles = views[number, channel, rows[..., None], columns[..., None, :]]
        return _normalise(tiles), wanted

    def logits(self, tiles: Tensor) -> Tensor:
        """The logits of permutations, (N, permutations)."""
        maps = self.backbone(tiles.flatten(0, 1).contiguous(memory_format=torch.channels_last))[-1]
        return self.answer(self.describe(maps.flatten(1)).view(len(tiles), -1))

    def loss(self, given: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The cross-entropy of the permutation."""
        logits = self.logits(given)
        return functional.cross_entropy(logits, wanted), {"accuracy": _accuracy(logits, wanted)}

    def score(self, given: Tensor, wanted: Tensor) -> dict[str, Score]:
        """The share of solved puzzles."""
        return {"accuracy": Score(_accuracy(self.logits(given), wanted).item(), 1 / len(self.orders))}


def _accuracy(logits: Tensor, wanted: Tensor) -> Tensor:
    return (logits.argmax(dim=1) == wanted).float().mean()


def _normalise(tiles: Tensor) -> Tensor:
    """Tiles with mean 0 in each channel and a fixed standard deviation, in the network's order blue, green, red."""
    centered = tiles - tiles.mean(dim=(-2, -1), keepdim=True)
    spread = centered.square().mean(dim=(-3, -2, -1), keepdim=True).sqrt() + FLAT
    return (centered / spread * TILE_SCALE).flip(2)
