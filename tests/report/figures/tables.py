"""Tables with known numbers, and the shapes in an SVG."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.table import Row, Table
from lpips_repro.evaluation.tables.writer import write_tables

SVG = "{http://www.w3.org/2000/svg}"
# Group, method, variant, version, in the order of tables, which differs from that of the paper's Figure 4.
METHODS = [
    ("low-level", "l2-rgb", "", ""),
    ("low-level", "ssim", "", ""),
    ("random", "alex-gaussian", "off_the_shelf", "0.0"),
    ("supervised", "alex", "off_the_shelf", "0.0"),
    ("lpips", "alex", "tune", "0.1"),
    ("lpips", "alex", "lin", "0.0"),
    ("lpips", "alex", "scratch", "0.1"),
]
PAPER_SPLITS = TWOAFC.columns_in_order


def make_rows(
    columns: Sequence[str], methods: Sequence[tuple[str, str, str, str]] = METHODS, seed: int = 0
) -> list[Row]:
    """Rows with distinct random numbers."""
    rng = np.random.default_rng(seed)
    rows = []
    for group, method, variant, version in methods:
        row = Row(group, method, variant, version, observers="human")
        for column in columns:
            score = float(rng.uniform(55, 80))
            row.scores[column], row.interval[column] = score, (score - rng.uniform(0.3, 1), score + rng.uniform(0.3, 1))
        row.paper = {"real": 61.3, "distortions": 70.7} if method == "l2-rgb" else {}
        rows.append(row)
    return rows


def write(folder: Path, rows: Sequence[Row], columns: Sequence[str] = PAPER_SPLITS, jnd: Sequence[Row] = ()) -> Path:
    """Write tables of rows of 2AFC scores with those of observers, and of rows of JND scores."""
    human = Row("observers", "human", scores={column: 82.5 for column in columns}, observers=rows[0].observers)
    oracle = Row("observers", "oracle", scores={column: 88.5 for column in columns}, observers=rows[0].observers)
    tables = [Table(TWOAFC, [human, oracle, *rows], columns, dict.fromkeys(columns, 1234), "Judgments.", True)]
    if jnd:
        tables.append(Table(JND, jnd, ("all",), {"all": 9}, "Judgments."))
    write_tables(folder, tables)
    return folder


def paths_of(svg: Path) -> dict[str, list[tuple[float, float]]]:
    """The corners of the named shapes in an SVG, by name."""
    found = {}
    for group in ET.parse(svg).iter(f"{SVG}g"):
        path = group.find(f"{SVG}path")
        if path is not None and "/" in group.get("id", ""):
            numbers = [float(text) for text in re.findall(r"-?\d+(?:\.\d+)?", path.get("d"))]
            found[group.get("id")] = [*zip(numbers[::2], numbers[1::2], strict=True)]
    return found


def scale_of(svg: Path, panel: int) -> tuple[float, float]:
    """The unit and the offset of the x axis of a panel, from its labeled ticks: value = unit * x + offset."""
    ticks = []
    (axes,) = (group for group in ET.parse(svg).iter(f"{SVG}g") if group.get("id") == f"axes_{panel + 1}")
    for tick in axes.iter(f"{SVG}g"):
        mark, text = tick.find(f".//{SVG}use"), tick.find(f".//{SVG}text")
        if re.match(r"xtick_\d+", tick.get("id", "")) and text is not None:
            ticks.append((float(mark.get("x")), float(text.text.replace("\N{MINUS SIGN}", "-"))))
    (x0, value0), (x1, value1) = ticks[0], ticks[-1]
    unit = (value1 - value0) / (x1 - x0)
    return unit, value0 - unit * x0
