"""The 2AFC scores of a model in training, and the triplets in which it contradicts the votes most."""

from collections.abc import Callable, Mapping
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

BATCH = 250  # triplets 64 x 64
SHOWN = 8


class Validation(NamedTuple):
    """Scores in [0, 1] by split, with their "mean"; the triplets shown, each a description and its images."""

    scores: dict[str, float]
    disagreements: list[tuple[str, dict[str, np.ndarray]]]


@torch.inference_mode()
def validate(
    model: RankingModel, splits: Mapping[str, ImageTriplets], check_stop: Callable[[], bool], ranks: Ranks | None = None
) -> Validation:
    """Score a model on every validation split; `check_stop` is called between batches and may raise.

    The ranks take whole batches in turn, which are the same however many ranks there are, and all get the scores.
    """
    ranks = ranks or Ranks()
    scores, worst = {}, []
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
        # Only now to the host, which would wait for a GPU at every batch.
        own_parts = {start: part.cpu().numpy() for start, part in parts.items()}
        gathered = {start: part for found in ranks.gather(own_parts) for start, part in found.items()}
        d0, d1, chosen = np.concatenate([gathered[start] for start in sorted(gathered)], axis=1)
        scores[name] = twoafc_score(d0, d1, triplets.judge)
        error = np.abs(chosen - triplets.judge)
        for index in np.argsort(-error, kind="stable")[:SHOWN]:
            text = f"{name} {index:06d}: p1 chosen by {triplets.judge[index]:.2f}, predicted {chosen[index]:.2f}"
            worst.append((error[index], text, triplets, int(index)))
    scores["mean"] = sum(scores.values()) / len(scores)
    worst.sort(key=lambda entry: -entry[0])
    return Validation(scores, [(text, triplets.images(index)) for _, text, triplets, index in worst[:SHOWN]])
