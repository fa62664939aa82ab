"""The results of the command as a table, CSV, JSON or lines of JSON."""

import csv
import io
import json
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from lpips_repro.cli.failures import Failure
from lpips_repro.cli.methods import ReadyMethod
from lpips_repro.cli.options import Format
from lpips_repro.cli.reading import Reading
from lpips_repro.cli.score import Scored
from lpips_repro.quoting import one_line

SCHEMA = 1  # of JSON; to be increased if a key is removed or changes its meaning
COLUMNS = ("ref", "image", "metric", "value", "distance", "settings")

Record = dict[str, Any]


def records_of(scored: Sequence[Scored], methods: Sequence[ReadyMethod], reading: Reading) -> list[Record]:
    """Return a record per pair and method that has a distance.

    `value` is the value of the metric itself, such as an SSIM of 1 for equal images, or a PSNR in dB. `distance` is
    smaller for more similar images with every metric, such as (1 - SSIM) / 2, or -PSNR.
    """
    return [
        {
            "ref": str(one.pair.ref),
            "image": str(one.pair.image),
            "metric": method.label,
            "value": one.values.get(method.label, one.distances[method.label]),
            "distance": one.distances[method.label],
            "settings": settings_text(method, one.size, reading),
        }
        for one in scored
        for method in methods
        if method.label in one.distances
    ]


def settings_text(method: ReadyMethod, size: tuple[int, int], reading: Reading) -> str:
    """Return everything that a distance depends on as `key=value`, separated by spaces; `size` is (height, width).

    A value that is no word, such as a dictionary, is JSON without spaces.
    """
    image = {"size": f"{size[0]}x{size[1]}", **reading.described}
    return " ".join(f"{key}={_one_word(value)}" for key, value in {**method.settings, **image}.items())


def _one_word(value: Any) -> str:
    if isinstance(value, str) and value and value.isprintable() and " " not in value and value[0] not in '"{[':
        return value
    return json.dumps(value, separators=(",", ":")).replace(" ", "\\u0020")  # spaces can only be inside strings


def formatted(
    records: Sequence[Record],
    failures: Sequence[Failure],
    style: Format,
    *,
    square: bool = False,
    complete: bool = True,
) -> str:
    """Return the results as text.

    Args:
        records: records of `records_of`.
        failures: records of `failures_of`.
        style: format of the text.
        square: whether tables and CSV have a row per reference and a column per image, instead of a row per pair.
        complete: whether all pairs were tried.
    """
    if style is Format.json:
        means = [{"metric": label, **_numbers(both)} for label, both in means_of(records).items()]
        content = {"schema": SCHEMA, "complete": complete, "results": [*map(_numbers, records)]}
        return json.dumps(content | {"failed": failures, "means": means}, indent=2) + "\n"
    if style is Format.jsonl:
        return "".join(json.dumps({"schema": SCHEMA, **one}) + "\n" for one in [*map(_numbers, records), *failures])
    if style is Format.csv:
        rows = [[record[key] for key in COLUMNS] for record in records]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(_square(records) if square else [COLUMNS, *rows])
        return text.getvalue()
    if not records:
        return ""
    header, *lines = _square(records) if square else _pairs(records)
    shown = [[one_line(cell) if isinstance(cell, str) else cell for cell in line] for line in lines]
    return tabulate(shown, [*map(one_line, header)], floatfmt=".6f", disable_numparse=[0, 1]) + "\n"


def number(value: float) -> float | str:
    """Return a number for JSON, which has no infinite numbers: the PSNR of equal images becomes "Infinity"."""
    return value if math.isfinite(value) else f"{'-' if value < 0 else ''}Infinity"


def _numbers(record: Record) -> Record:
    return {key: number(value) if isinstance(value, float) else value for key, value in record.items()}


def means_of(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Return, by label, the mean value, the mean distance and the number of pairs of each method."""
    by_label: dict[str, list[Record]] = {}
    for record in records:
        by_label.setdefault(record["metric"], []).append(record)
    return {
        label: {key: statistics.fmean(one[key] for one in found) for key in ("value", "distance")}
        | {"pairs": len(found)}
        for label, found in by_label.items()
    }


def _square(records: Sequence[Record]) -> list[Sequence[Any]]:
    """A table of distances: a header, and a row per metric and reference with a column per image."""
    images = list(dict.fromkeys(record["image"] for record in records))
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for record in records:
        found = rows.setdefault(record["metric"], {}).setdefault(record["ref"], {})
        found[record["image"]] = record["distance"]
    table = [[label, ref, *map(found.get, images)] for label, refs in rows.items() for ref, found in refs.items()]
    return [("metric", "ref", *images), *table]


def _pairs(records: Sequence[Record]) -> list[Sequence[Any]]:
    """A table of values: a header, a row per pair with a column per method, and a row of means if there are several."""
    means = means_of(records)
    pairs: dict[tuple[str, str, int], dict[str, float]] = {}
    times: Counter[tuple[str, str, str]] = Counter()  # a pair may be given more than once
    for record in records:
        ref, image, label = record["ref"], record["image"], record["metric"]
        pairs.setdefault((ref, image, times[ref, image, label]), {})[label] = record["value"]
        times[ref, image, label] += 1
    rows: list[Sequence[Any]] = [[ref, image, *map(found.get, means)] for (ref, image, _), found in pairs.items()]
    if len(pairs) > 1:
        counts = [str(both["pairs"]) for both in means.values()]  # a method may have failed for some pairs
        label = f"mean of {counts[0] if len({*counts}) == 1 else ', '.join(counts)}"
        rows.append([label, "", *(both["value"] for both in means.values())])
    similar = {record["metric"] for record in records if record["value"] != record["distance"]}
    return [("ref", "image", *(f"{label} (similarity)" if label in similar else label for label in means)), *rows]
