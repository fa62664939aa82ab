"""Mean opinion scores of whole images at several sizes (paper, appendix C): do distances rank images as people do?

The paper tests "at different resolutions, using {128, 192, 256, 384, 512} for the smaller dimension" and shows
Spearman's correlation averaged over them, as bars without figures (Figure 12). It names no interpolation. Here it is
Pillow's antialiased bilinear filter, as in the released code for BAPPS. TID2013's smaller side has 384 pixels: 384 does
not resize, and 512 enlarges. The average is over the correlations at the five sizes.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from lpips_repro.datasets.mos.split import KIND, ImageSplit
from lpips_repro.datasets.split import Split
from lpips_repro.evaluation.protocols.protocol import Distances, Protocol, Resamples
from lpips_repro.evaluation.protocols.rank_correlation import MEASURES, ReferenceBootstrap, rank_correlation
from lpips_repro.evaluation.protocols.registry import PROTOCOLS, register_protocol


class ReferenceResamples(Resamples):
    """Resamples of the reference images, each with all its distorted images, which are not independent."""

    redrawn = 0

    def __init__(self, drawn: ReferenceBootstrap):
        self.drawn = drawn

    def scores(self, distances: Distances) -> np.ndarray:
        """Both correlations in each resample, float64 (2, B); NaN if there is only one reference."""
        found = np.stack([*self.drawn.replicates(distances["distance"]).values()])
        return found if len(self.drawn.starts) > 1 else np.full_like(found, np.nan)


@register_protocol
class MeanOpinion(Protocol):
    """Rank correlations of distances with mean opinion scores, with a table per correlation and a column per size."""

    name, kind = "mos", KIND
    title = "TID2013"
    file = "tid2013"
    vote = "mos"
    distances = ("distance",)
    scale = 1
    decimals = 4
    shown = 3
    interval = "{:.3f} to {:.3f}"
    interval_in_each = False
    one_by_one = True
    undefined = "all distances are equal, so that they have no order"

    def of_splits(self, splits: Sequence[Split]) -> Protocol:
        """The protocol with the dataset's title, and its name for files."""
        named = copy.copy(self)
        named.title, named.file = splits[0].card["title"], splits[0].card["dataset"].lower()
        return named

    def score(self, distances: Distances, votes: np.ndarray) -> np.ndarray:
        """Both correlations, (2,); NaN if all distances are equal."""
        return np.array([*rank_correlation(distances["distance"], votes).values()])

    def resamples(self, splits: Sequence[Split], size: int, seed: int) -> Mapping[str, Resamples]:
        """The resamples by split, with the same references at all sizes."""
        split = cast(ImageSplit, splits[0])
        drawn = ReferenceBootstrap(split.votes, split.groups, size, seed)
        return dict.fromkeys([split.name for split in splits], ReferenceResamples(drawn))

    def columns(self, splits: Sequence[str]) -> tuple[str, ...]:
        """The columns of both correlations at these sizes, and of their means over sizes."""
        return tuple(f"{measure}{of}" for measure in MEASURES for of in (*(f"_{size}" for size in splits), ""))

    def add_averages(
        self, values: Mapping[str, Any], mean: Callable[[list[Any]], Any] = lambda of: sum(of) / len(of)
    ) -> Mapping[str, Any]:
        """Values of both correlations by size, as values by column, with means over sizes."""
        found: dict[str, Any] = {}
        for place, measure in enumerate(MEASURES):
            of_measure = {f"{measure}_{size}": both[place] for size, both in values.items()}
            found |= {**of_measure, measure: mean([*of_measure.values()])}
        return found

    def counts(self, counts: Mapping[str, int]) -> Mapping[str, int]:
        """The number of images of each column: all sizes have the same images."""
        return dict.fromkeys(self.columns([*counts]), max(counts.values()))

    def caption(self, splits: Sequence[Split]) -> str:
        """The description of the figures, and whether they are on the whole dataset."""
        note = splits[0].card["note"]
        return " ".join(
            (
                "Rank correlation of mean opinion scores with the negated distance (1: the same order; Kendall's is"
                " tau-b), per size of the smaller side in pixels, and averaged.",
                f"Intervals: 95 % bootstrap over the {len(cast(ImageSplit, splits[0]).groups)} reference images, since"
                " images of one reference are not independent.",
                *[f"{note}."] * bool(note),
            )
        )

    def settings(self, splits: Sequence[Split]) -> dict[str, int]:
        """The numbers of images and references."""
        return {"images": len(splits[0]), "references": len(cast(ImageSplit, splits[0]).groups)}

    def reason(self, splits: Sequence[Split], fault: str) -> str:
        """The reason, with the sizes."""
        return f"not run at {', '.join(split.card['split'] for split in splits)} pixels: {fault}"

    def blocks(self, columns: Sequence[str]) -> dict[str, dict[str, str]]:
        """One table per correlation, with a column per size and the mean."""
        return {
            measure.capitalize(): {
                column.removeprefix(measure).removeprefix("_") or "mean": column
                for column in columns
                if column.partition("_")[0] == measure
            }
            for measure in MEASURES
        }


MOS = PROTOCOLS[MeanOpinion.name]
