"""Two alternatives, forced choice (paper, section 4.1): which of two patches is more similar to the reference?"""

from typing import ClassVar

import numpy as np

from lpips_repro.evaluation.protocols.protocol import PROTOCOLS, Distances, MeanProtocol, register_protocol
from lpips_repro.evaluation.scores import human_credits, human_twoafc, oracle_credits, oracle_twoafc, twoafc_credits


@register_protocol
class TwoAFC(MeanProtocol):
    """The share of judges who agree with the distances."""

    name = kind = "2afc"
    title = "2AFC score (%)"
    file = "twoafc"
    images = ("ref", "p0", "p1")
    vote = "judge"
    distances = ("d0", "d1")
    # Paper, Table 5: each average is the plain mean of its splits.
    averages: ClassVar = {
        "distortions": ("traditional", "cnn"),
        "real": ("superres", "deblur", "color", "frameinterp"),
        "all": ("traditional", "cnn", "superres", "deblur", "color", "frameinterp"),
    }
    columns_in_order = (
        *("traditional", "cnn", "distortions"),
        *("superres", "deblur", "color", "frameinterp", "real", "all"),
    )
    paper = "paper_2afc.csv"
    statistics: ClassVar = {"agreement 2AFC %": human_twoafc, "oracle 2AFC %": oracle_twoafc}

    def credits(self, distances: Distances, votes: np.ndarray) -> np.ndarray:
        """The share of judges who agree, in each triplet."""
        return twoafc_credits(distances["d0"], distances["d1"], votes)

    def observers(self, votes: np.ndarray) -> dict[str, np.ndarray]:
        """One judge against the others, and the oracle that sides with the majority."""
        return {"observer": human_credits(votes), "oracle": oracle_credits(votes)}


TWOAFC = PROTOCOLS[TwoAFC.name]
