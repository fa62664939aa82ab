"""Mean opinion scores of whole images at several sizes (paper, appendix C): do distances rank them as people do?

Whole images are not packed, so `lpips_repro.evaluation.tid2013` computes the scores: this is the form of the table.
"""

from collections.abc import Sequence

from lpips_repro.evaluation.protocols.protocol import PROTOCOLS, Protocol, register_protocol
from lpips_repro.evaluation.rank_correlation import MEASURES


@register_protocol
class MeanOpinion(Protocol):
    """Rank correlations of distances with mean opinion scores: a table per correlation, a column per size."""

    name = kind = "mos"
    title = "TID2013"
    file = "tid2013"
    scale = 1
    decimals = 4
    shown = 3
    interval = "{:.3f} to {:.3f}"
    interval_in_each = False

    def columns(self, splits: Sequence[str]) -> tuple[str, ...]:
        """The columns of both correlations at these sizes, and of their means over the sizes."""
        return tuple(f"{measure}{of}" for measure in MEASURES for of in (*(f"_{size}" for size in splits), ""))

    def blocks(self, columns: Sequence[str]) -> dict[str, dict[str, str]]:
        """A table per correlation, with a column per size and the mean."""
        return {
            measure.capitalize(): {
                column.removeprefix(measure).removeprefix("_") or "mean": column
                for column in columns
                if column.partition("_")[0] == measure
            }
            for measure in MEASURES
        }


MOS = PROTOCOLS[MeanOpinion.name]
