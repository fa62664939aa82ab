"""Just noticeable differences (paper, section 4.1): are two patches, shown for a moment, the same?"""

from typing import ClassVar

import numpy as np

from lpips_repro.evaluation.protocols.protocol import PROTOCOLS, Distances, Protocol, register_protocol
from lpips_repro.evaluation.scores import jnd_map, jnd_map_replicates


def _share_same(votes: np.ndarray) -> float:
    return float(votes.mean(dtype=np.float64))


@register_protocol
class JustNoticeable(Protocol):
    """The mean average precision of distances as a detector of pairs that people take for the same."""

    name = kind = "jnd"
    title = "JND mAP (%)"
    file = "jnd"
    images = ("p0", "p1")
    vote = "same"
    distances = ("d",)
    averages: ClassVar = {"all": ("traditional", "cnn")}  # paper, Table 6
    columns_in_order = ("traditional", "cnn", "all")
    paper = "paper_jnd.csv"
    paper_columns: ClassVar = {"jnd_map": "all"}  # published only as the mean over the splits
    score_name = "mAP"
    needs = "nobody answered 'same' to any pair"
    # Measured: see "The tables" in the README.
    bfloat16 = (
        "dtype=bfloat16: the distances of images that are nearly the same, as in JND pairs, are not exact in it: at"
        " half a grey level of noise they are 12 to 17 % longer, and 10 to 12 % of the comparisons change: use"
        " dtype=float32 for the JND table"
    )
    statistics: ClassVar = {'share "same" %': _share_same}

    def score(self, distances: Distances, votes: np.ndarray) -> float:
        """The mean average precision."""
        return jnd_map(distances["d"], votes)

    def replicates(self, distances: Distances, votes: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """That of resamples, NaN if nobody answered "same" to any of their pairs."""
        return jnd_map_replicates(distances["d"], votes, counts)

    def needed(self, votes: np.ndarray) -> np.ndarray:
        """The pairs that anybody called the same."""
        return votes > 0


JND = PROTOCOLS[JustNoticeable.name]
