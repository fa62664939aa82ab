"""Failures of a command: a record per pair and method, and a short summary with one line per cause."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lpips_repro.cli.score import Scored
from lpips_repro.quoting import as_utf8

Failure = dict[str, Any]
SIZE = re.compile(r"\d+ x \d+")
SHOWN = 3  # images that differ from others


def failures_of(scored: Sequence[Scored], missing: Mapping[str, str]) -> list[Failure]:
    """Return a record per failed pair, or per failed pair and method.

    Args:
        scored: pairs with their faults.
        missing: by label, why methods could not be loaded. Their records have no `ref` and `image`.

    Returns:
        Records with the keys "ref", "image", "metric" and "reason".
    """
    records = [{"ref": None, "image": None, "metric": label, "reason": as_utf8(why)} for label, why in missing.items()]
    for one in scored:
        ref, image = (as_utf8(str(path)) for path in (one.pair.ref, one.pair.image))
        for label, reason in one.faults.items():
            records.append({"ref": ref, "image": image, "metric": label, "reason": as_utf8(reason)})
    return records


def lines_of(scored: Sequence[Scored], missing: Mapping[str, str]) -> list[str]:
    """Return the failures as text. Pairs that fail for the same reason share a line per method or per image.

    If many images do not fit others, such as images of many sizes in a matrix, only the first ones are named.
    """
    groups: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for one in scored:
        for label, reason in one.faults.items():
            groups[label, _without_names(reason, one)].append(one)
    tried = _times(scored)
    # The reasons of other libraries already begin with the label.
    lines = [why if why.startswith(f"{label}: ") else f"{label}: {why}" for label, why in missing.items()]
    for (label, reason), failed in groups.items():
        if label and 1 < len(failed) == len(scored) and all(one.faults[label] == reason for one in failed):
            lines.append(f"{label}: {reason} (all {len(failed)} pairs)")
        else:
            found = [*_by_image(failed, label, tried)]
            if _is_relative(reason) and SHOWN < len(found) < len(failed):
                more = f"{len(found) - SHOWN} more images fail the same way: all {len(failed)} pairs: --format json"
                found = [*found[:SHOWN], more]
            lines += [f"{label}: {line}" if label else line for line in found]
    return list(dict.fromkeys(lines))


def _without_names(reason: str, one: Scored) -> str:
    """A reason in which the files and their sizes are blanked: the same text for all pairs with this reason."""
    for path in sorted({str(one.pair.ref), str(one.pair.image)}, key=len, reverse=True):
        reason = re.sub(rf"(?<!\S){re.escape(path)}(?=[:,\s]|$)", "\0", reason)
    return SIZE.sub("\0", reason) if _is_relative(reason) else reason


def _is_relative(reason: str) -> bool:
    """Whether a reason without names is about two images, such as their sizes: no image alone is at fault."""
    return reason.count("\0") > 1


def _times(scored: Sequence[Scored]) -> Counter[Path]:
    """The number of pairs per image, without those of an image with itself."""
    others = [one.pair for one in scored if one.pair.ref != one.pair.image]
    return Counter(path for pair in others for path in (pair.ref, pair.image))


def _by_image(failed: Sequence[Scored], label: str, tried: Counter[Path]) -> Iterator[str]:
    """A line per image for pairs that failed for one reason; images that failed with all others come first."""
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
    if not reason.startswith((as_utf8(f"{image}:"), as_utf8(f"{first.pair.ref}:"))):
        reason = f"{path if len(pairs) > 1 else image}: {reason}"
    same = all(one.faults[label] == first.faults[label] for one in pairs)
    return reason if same else f"{reason} (and {len(pairs) - 1} more with {path})"
