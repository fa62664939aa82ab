"""Jigsaw puzzles (Noroozi and Favaro, "Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles").

ECCV 2016. Nine tiles of a picture come in another order, one of a set of permutations; the network sees each tile alone
and is to say which permutation it was. Against answers that need no look at what is shown, each tile lies at a random
place in its cell, so that there are gaps; its mean and standard deviation are taken out; its colour channels are
shifted against each other; and some puzzles are grey.

Other than there: the first layer keeps its stride of 4, and the layers on top of conv5 have batch normalisation.
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
CHANNEL_SHIFT = 1  # pixels, at most
GREY_SHARE = 0.3
# Standard deviation that a tile is given: about that of photographs in [0, 255], which is what the metric will show.
TILE_SCALE = 58.0
# Each is chosen among all 9! by its distance to those before: of so many in seconds. The paper has up to 1000.
MOST_PERMUTATIONS = 2000
FLAT = 2 / 255  # added to standard deviations, so that an empty sky is not made into noise


@dataclass
class PuzzleSettings(TaskConfig):
    """`configs/task/puzzle.yaml`."""

    tile: int
    permutations: int
    features: int
    hidden: int

    def __post_init__(self):
        super().__post_init__()
        check_at_least("task.tile", self.tile, 23)  # what leaves conv5 a pixel
        check_at_least("task.side", self.side, 3 * (self.tile + 1))  # tiles in their cells, with a pixel to move
        check_at_least("task.features", self.features, 1)
        check_at_least("task.hidden", self.hidden, 1)
        if not 2 <= self.permutations <= MOST_PERMUTATIONS:
            raise UserError(f"task.permutations={self.permutations}: expected an integer from 2 to {MOST_PERMUTATIONS}")


@register_task("puzzle", PuzzleSettings)
class Puzzle(PretextTask):
    """The task of telling which permutation the tiles are in.

    Args:
        seed: of weights and permutations.
        side: of the picture, in pixels; tile: of a tile, which has its place in a third of the side.
        permutations: how many there are.
        features: numbers that describe a tile; hidden: numbers in the layer that sees all of them.
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
        """Tiles (N, 9, 3, tile, tile), normalised and in their permutation, and its number (N,)."""
        count, device = len(crops), crops.device
        views = draw_views(crops, self.side, generator)
        grey = torch.rand((count, 1, 1, 1), generator=generator) < GREY_SHARE
        cell = self.side // CELLS
        room = cell - self.tile - CHANNEL_SHIFT
        place = torch.randint(room + 1, (count, CELLS**2, 1, 2), generator=generator)
        place = place + torch.randint(CHANNEL_SHIFT + 1, (count, CELLS**2, 3, 2), generator=generator)
        wanted = torch.randint(len(self.orders), (count,), generator=generator)
        grey, place, wanted = send_draws(device, grey, place, wanted)

        views = torch.where(grey, views.mean(dim=1, keepdim=True), views)
        cells = self.orders[wanted]
        corner = torch.stack((cells // CELLS, cells % CELLS), dim=-1)[:, :, None] * cell + place
        along = torch.arange(self.tile, device=device)
        rows, columns = (corner[..., axis, None] + along for axis in (0, 1))  # (N, 9, 3, tile)
        number = torch.arange(count, device=device)[:, None, None, None, None]
        channel = torch.arange(3, device=device)[:, None, None]
        tiles = views[number, channel, rows[..., None], columns[..., None, :]]
        return _normalise(tiles), wanted

    def logits(self, tiles: Tensor) -> Tensor:
        """(N, permutations)."""
        maps = self.backbone(tiles.flatten(0, 1).contiguous(memory_format=torch.channels_last))[-1]
        return self.answer(self.describe(maps.flatten(1)).view(len(tiles), -1))

    def loss(self, given: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The cross-entropy of the permutation."""
        logits = self.logits(given)
        return functional.cross_entropy(logits, wanted), {"accuracy": _accuracy(logits, wanted)}

    def score(self, given: Tensor, wanted: Tensor) -> dict[str, Score]:
        """The share of puzzles solved."""
        return {"accuracy": Score(_accuracy(self.logits(given), wanted).item(), 1 / len(self.orders))}


def _accuracy(logits: Tensor, wanted: Tensor) -> Tensor:
    return (logits.argmax(dim=1) == wanted).float().mean()


def _normalise(tiles: Tensor) -> Tensor:
    """Each tile with mean 0 in every channel and one standard deviation, in the network's blue, green, red."""
    centred = tiles - tiles.mean(dim=(-2, -1), keepdim=True)
    spread = centred.square().mean(dim=(-3, -2, -1), keepdim=True).sqrt() + FLAT
    return (centred / spread * TILE_SCALE).flip(2)
