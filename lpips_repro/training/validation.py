"""The 2AFC scores of a model in training, and the triplets that contradict the votes most."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from lpips_repro.devices import fixed_shapes
from lpips_repro.distributed import Ranks
from lpips_repro.evaluation.protocols.twoafc import twoafc_score
from lpips_repro.features.patches import at_once
from lpips_repro.progress import Progress
from lpips_repro.training.model import RankingModel
from lpips_repro.training.triplets import ImageTriplets

BATCH = 250  # triplets of 64 x 64
SHOWN = 8


@dataclass(frozen=True)
class Disagreement:
    """A triplet that a model gets wrong.

    Attributes:
        split, index: its split, and its index there.
        d0, d1: distances of p0 and p1; chosen: predicted share of judges who choose p1; judge: the true share.
        images: ref, p0 and p1, each uint8 (H, W, 3); observers: who judged.
    """

    split: str
    index: int
    d0: float
    d1: float
    chosen: float
    judge: float
    images: dict[str, np.ndarray]
    observers: str


class Validation(NamedTuple):
    """Scores in [0, 1] by split and their "mean", and the triplets with the worst predictions, the worst first."""

    scores: dict[str, float]
    disagreements: list[Disagreement]


@torch.inference_mode()
def validate(
    model: RankingModel, splits: Mapping[str, ImageTriplets], check_stop: Callable[[], bool], ranks: Ranks | None = None
) -> Validation:
    """Score a model on each validation split. `check_stop` is called between batches and may raise.

    The ranks share whole batches, which do not depend on the number of ranks, and all get the scores.
    """
    ranks = ranks or Ranks()
    scores: dict[str, float] = {}
    worst: list[tuple[float, str, int, np.ndarray]] = []
    for name, triplets in splits.items():
        parts, batch = {}, at_once(BATCH, triplets.splits[0])
        starts = range(0, len(triplets), batch * ranks.world)
        hidden = None if ranks.first else True
        for start in Progress(starts, f"validation on {name}", unit="batch", leave=False, disable=hidden):
            check_stop()
            own = start + batch * ranks.rank
            if own < len(triplets):
                with fixed_shapes(triplets.device):
                    d0, d1 = model.distances(triplets.batch(np.arange(own, min(own + batch, len(triplets)))))
                chosen = torch.sigmoid(model.ranking.logit(d0, d1))
                parts[own] = torch.stack((d0, d1, chosen)).float()
        # Copied to the host only here, since each copy waits for a GPU.
        own_parts = {start: part.cpu().numpy() for start, part in parts.items()}
        gathered = {start: part for found in ranks.gather(own_parts) for start, part in found.items()}
        predicted = np.concatenate([gathered[start] for start in sorted(gathered)], axis=1)
        d0, d1, chosen = predicted
        scores[name] = twoafc_score(d0, d1, triplets.judge)
        error = np.abs(chosen - triplets.judge)
        worst += [
            (error[index], name, int(index), predicted[:, index]) for index in np.argsort(-error, kind="stable")[:SHOWN]
        ]
    scores["mean"] = sum(scores.values()) / len(scores)
    worst.sort(key=lambda entry: -entry[0])
    shown = []
    for _, name, index, values in worst[:SHOWN]:
        d0, d1, chosen = values.tolist()
        triplets = splits[name]
        judge, observers = float(triplets.judge[index]), triplets.splits[0].card["observers"]
        shown.append(Disagreement(name, index, d0, d1, chosen, judge, triplets.images(index), observers))
    return Validation(scores, shown)
