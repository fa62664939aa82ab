"""Notes on why a row has no scores on some splits."""

from collections.abc import Mapping, Sequence

from lpips_repro.datasets.split import Split
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.protocols import Protocol


def note_of(
    seeds: Sequence[Method],
    splits: Sequence[Split],
    results: Results,
    scores: Mapping[str, float],
    protocol: Protocol,
) -> str:
    """Return why a row has no scores on some of the splits, each reason once, or "" if it has scores on all."""
    reasons: dict[str, list[Split]] = {}
    for split in splits:
        faults = [results.failed.get(one.label, {}).get(split.name) for one in seeds]
        fault = next((fault for fault in faults if fault), "")
        is_scored = scores.keys() & protocol.columns([split.card["split"]])
        if fault or not is_scored:
            reasons.setdefault(fault or protocol.undefined, []).append(split)
    return "; ".join(protocol.reason(where, fault) for fault, where in reasons.items())
