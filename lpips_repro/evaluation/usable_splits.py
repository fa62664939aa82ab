"""Splits that have a score. On other splits it is undefined for any distances, because of the votes."""

import logging
from collections.abc import Sequence

from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import protocol_of

log = logging.getLogger(__name__)


def usable_splits(splits: Sequence[Split]) -> list[Split]:
    """Return the splits that have a score, and warn of each of the others.

    Raises:
        UserError: if no split has a score.
    """
    reasons = {split.name: _why_undefined(split) for split in splits}
    usable = [split for split in splits if not reasons[split.name]]
    if not usable:
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise UserError(f"no split has a score: {listed}: use data with more varied votes")
    for name, reason in reasons.items():
        if reason:
            log.warning("%s: %s: left out", name, reason)
    return usable


def _why_undefined(split: Split) -> str:
    """Return why the score of a split is undefined, or "" if it is defined."""
    protocol = protocol_of(split)
    needed = protocol.needed(split.votes)
    if needed is None or needed.any():
        return ""
    return f"{protocol.why_undefined}, so its {protocol.score_name} is undefined"
