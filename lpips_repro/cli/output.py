"""The results of the command as a table, CSV, JSON or lines of JSON."""

import csv
import io
import json
import statistics
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from lpips_repro.cli.methods import ReadyMethod
from lpips_repro.cli.reading import Reading
from lpips_repro.cli.score import Scored

SCHEMA = 1  # of JSON: a key that is taken away or means something else makes it 2
COLUMNS = ("ref", "image", "metric", "distance", "settings")


def records_of(scored: Sequence[Scored], methods: Sequence[ReadyMethod], reading: Reading) -> list[dict[str, Any]]:
    """A record per pair and method that has a distance."""
    return [
        {
            "ref": str(one.pair.ref),
            "image": str(one.pair.image),
            "metric": method.label,
            "distance": one.distances[method.label],
            "settings": settings_text(method, one.size, reading),
        }
        for one in scored
        for method in methods
        if method.label in one.distances
    ]


def failures_of(scored: Sequence[Scored]) -> list[dict[str, str]]:
    """What failed: a record per pair, or per pair and method if the others have a distance."""
    return [
        {"ref": str(one.pair.ref), "image": str(one.pair.image), "metric": label, "reason": reason}
        for one in scored
        for label, reason in one.faults.items()
    ]


def described(failure: dict[str, str]) -> str:
    """One line on a failure: the file and the reason, with the method if it is the only one that failed."""
    reason, image = failure["reason"], failure["image"]
    named = reason if reason.startswith((image, failure["ref"])) else f"{image}: {reason}"
    return f"{failure['metric']}: {named}" if failure["metric"] else named


def settings_text(method: ReadyMethod, size: tuple[int, int], reading: Reading) -> str:
    """All that a distance depends on, in one line: `key=value` with spaces between."""
    resize = reading.resize if isinstance(reading.resize, str) else "no"
    if isinstance(reading.resize, tuple):
        resize = "{}x{}".format(*reading.resize)
    image = {"size": f"{size[0]}x{size[1]}", "resize": resize, "background": reading.background}
    return " ".join(f"{key}={_one_word(value)}" for key, value in {**method.settings, **image}.items())


def _one_word(value: Any) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, separators=(",", ":"))


def formatted(
    records: Sequence[dict[str, Any]], failures: Sequence[dict[str, str]], style: str, *, square: bool = False
) -> str:
    """The results as text.

    Args:
        records, failures: of `records_of` and `failures_of`.
        style: table, csv, json or jsonl.
        square: whether tables and CSV have a row per reference and a column per image, instead of a row per pair.
    """
    if style == "json":
        content = {"schema": SCHEMA, "results": records, "failed": failures, "mean": means_of(records)}
        return json.dumps(content, indent=2) + "\n"
    if style == "jsonl":
        return "".join(json.dumps({"schema": SCHEMA, **record}) + "\n" for record in [*records, *failures])
    header, rows = _squares(records) if square else (COLUMNS, [[record[key] for key in COLUMNS] for record in records])
    if style == "csv":
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows([header, *rows])
        return lines.getvalue()
    if square:
        return tabulate(rows, header, floatfmt=".4f", disable_numparse=[0, 1]) + "\n"
    return _table(records)


def _squares(records: Sequence[dict[str, Any]]) -> tuple[Sequence[str], list[list[Any]]]:
    """A row per metric and reference, a column per image."""
    images = list(dict.fromkeys(record["image"] for record in records))
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for record in records:
        rows.setdefault((record["metric"], record["ref"]), {})[record["image"]] = record["distance"]
    order = list(means_of(records))
    ordered = sorted(rows.items(), key=lambda item: order.index(item[0][0]))
    return ("metric", "ref", *images), [[*key, *map(found.get, images)] for key, found in ordered]


def means_of(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The mean distance of each method."""
    labels = dict.fromkeys(record["metric"] for record in records)
    return {label: statistics.fmean(r["distance"] for r in records if r["metric"] == label) for label in labels}


def _table(records: Sequence[dict[str, Any]]) -> str:
    """A line per pair with a column per method, and the mean if there are several."""
    means = means_of(records)
    pairs: dict[tuple[str, str], dict[str, float]] = {}
    for record in records:
        pairs.setdefault((record["ref"], record["image"]), {})[record["metric"]] = record["distance"]
    rows = [[*pair, *(found.get(label) for label in means)] for pair, found in pairs.items()]
    if len(pairs) > 1:
        rows.append([f"mean of {len(pairs)}", "", *means.values()])
    return tabulate(rows, ("ref", "image", *means), floatfmt=".6f", disable_numparse=[0, 1]) + "\n" if rows else ""
