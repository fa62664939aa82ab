"""What failed: a record per pair and method, and few lines on them, each about one method, one image or one pair."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lpips_repro.cli.score import Scored

Failure = dict[str, Any]
SIZE = re.compile(r"\d+ x \d+")
SHOWN = 3  # images that differ from others


def failures_of(scored: Sequence[Scored], missing: Mapping[str, str]) -> list[Failure]:
    """What failed: a record per pair, or per pair and method if the others have a distance.

    Args:
        scored: the pairs.
        missing: why methods could not be loaded, by label: a record each, without `ref` and `image`.
    """
    methods = [{"ref": None, "image": None, "metric": label, "reason": why} for label, why in missing.items()]
    return methods + [
        {"ref": str(one.pair.ref), "image": str(one.pair.image), "metric": label, "reason": reason}
        for one in scored
        for label, reason in one.faults.items()
    ]


def lines_of(scored: Sequence[Scored], missing: Mapping[str, str]) -> list[str]:
    """The failures in words: of pairs that fail for one reason a line per method, or per image that is in them all.

    Of images that do not fit to many others, as those of many sizes in a matrix, the first are named.
    """
    groups: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for one in scored:
        for label, reason in one.faults.items():
            groups[label, _without_names(reason, one)].append(one)
    tried = _times(scored)
    # Metrics of other libraries name themselves.
    lines = [why if why.startswith(f"{label}: ") else f"{label}: {why}" for label, why in missing.items()]
    for (label, reason), failed in groups.items():
        if label and 1 < len(failed) == len(scored) and all(one.faults[label] == reason for one in failed):
            lines.append(f"{label}: {reason} (all {len(failed)} pairs)")
        else:
            found = [*_by_image(failed, label, tried)]
            if _is_relative(reason) and SHOWN < len(found) < len(failed):
                more = f"{len(found) - SHOWN} more images likewise: --format json lists all {len(failed)} pairs"
                found = [*found[:SHOWN], more]
            lines += [f"{label}: {line}" if label else line for line in found]
    return list(dict.fromkeys(lines))


def _without_names(reason: str, one: Scored) -> str:
    """A reason with blanks for files and their sizes, the same for all pairs that it is true of."""
    for path in sorted({str(one.pair.ref), str(one.pair.image)}, key=len, reverse=True):
        reason = re.sub(rf"(?<!\S){re.escape(path)}(?=[:,\s]|$)", "\0", reason)
    return SIZE.sub("\0", reason) if _is_relative(reason) else reason


def _is_relative(reason: str) -> bool:
    """Whether a reason without names is about two images, such as their sizes: no image alone is at fault."""
    return reason.count("\0") > 1


def _times(scored: Sequence[Scored]) -> Counter[Path]:
    """In how many pairs with another image each is."""
    others = [one.pair for one in scored if one.pair.ref != one.pair.image]
    return Counter(path for pair in others for path in (pair.ref, pair.image))


def _by_image(failed: Sequence[Scored], label: str, tried: Counter[Path]) -> Iterator[str]:
    """A line per image on pairs that failed for one reason: first on images that failed with all others."""
    times = _times(failed)
    left: dict[Path, dict[int, Scored]] = defaultdict(dict)
    for k, one in enumerate(failed):
        for path in (one.pair.image, one.pair.ref):
            left[path][k] = one
    while left:
        path = max(left, key=lambda path: (times[path] == tried[path], len(left[path])))
        pairs = left.pop(path)
        for k, one in pairs.items():
            other = one.pair.ref if one.pair.image == path else one.pair.image
            left.get(other, {}).pop(k, None)
        if pairs:
            yield _line(path, [*pairs.values()], label)


def _line(path: Path, pairs: Sequence[Scored], label: str) -> str:
    first = pairs[0]
    reason, image = first.faults[label], first.pair.image
    if not reason.startswith((f"{image}:", f"{first.pair.ref}:")):
        reason = f"{path if len(pairs) > 1 else image}: {reason}"
    same = all(one.faults[label] == first.faults[label] for one in pairs)
    return reason if same else f"{reason} (and {len(pairs) - 1} more with {path})"
