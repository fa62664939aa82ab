"""Reports on small data, made without networks."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lpips_repro.config import ReportConfig, parse
from lpips_repro.datasets.packed import PackedSplit, write_split
from lpips_repro.datasets.split import content_of
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.protocols import PROTOCOLS, Protocol, protocol_of
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.differences import differences_of, write_differences
from lpips_repro.evaluation.tables.kept_tables import keep_other_tables
from lpips_repro.evaluation.tables.paper_figures import read_paper
from lpips_repro.evaluation.tables.table import Bootstrap, make_table
from lpips_repro.evaluation.tables.writer import caption_of, write_tables
from lpips_repro.report.figure_inputs import Inputs
from lpips_repro.report.page.make import make_page
from tests.compose import settings

SIZE = 16  # width and height of images in pixels

# Distances, (columns, N), by label of the method, then by name of the split, such as "2afc/val/cnn".
Distances = Mapping[str, Mapping[str, Sequence[np.ndarray]]]


@dataclass(frozen=True)
class Report:
    """A report: its splits and distances, its page, its folder of tables, and its inputs."""

    splits: Mapping[str, PackedSplit]
    distances: Distances
    index: Path
    tables: Path
    inputs: Inputs


def noise(
    folder: Path,
    name: str,
    votes: np.ndarray,
    observers: str = "simulated",
    protocol: Protocol = TWOAFC,
    size: int = SIZE,
):
    """Write a packed split of random images with some votes."""
    rng = np.random.default_rng(len(name))
    arrays = {field: rng.integers(0, 256, (len(votes), size, size, 3), np.uint8) for field in protocol.images}
    card = {"kind": protocol.kind, "phase": "val", "split": name, "dataset": "t", "resize": "exact"}
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{protocol.kind}-{len([*folder.iterdir()])}"
    return write_split(place, arrays | {protocol.vote: np.float32(votes)}, card | {"observers": observers})


def write_distances(folder: Path, splits: Sequence[PackedSplit], distances: Distances) -> list[Method]:
    """Write the distances of methods to files; returns the methods. The first one has published scores of alex lin."""
    methods = []
    for place, (label, of_splits) in enumerate(distances.items()):
        own = folder / f"distances-{place}"
        own.mkdir(parents=True, exist_ok=True)
        for split in splits:
            columns = of_splits[split.name]
            with (own / f"{split.name.replace('/', '-')}.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("index", *(("d0", "d1") if len(columns) == 2 else ("d",))))
                writer.writerows(zip(range(len(split)), *(map(repr, map(float, one)) for one in columns), strict=True))
        paper = ("alex", "lin") if place == 0 else None
        group = "lpips" if place else "low-level"
        methods.append(Method(group, label, lambda engine, own=own: PrecomputedDistances(own), paper=paper))
    return methods


def make_tables(
    experiments: Path,
    splits: Sequence[PackedSplit],
    methods: Sequence[Method],
    *,
    bootstrap: int = 50,
    paper: bool = False,
    with_differences: bool = True,
    likelihood: bool = False,
) -> Path:
    """Write the tables of methods on splits, as `make eval-tables` does; returns their folder.

    The table of the likelihood is written only with `likelihood`.
    """
    folder = experiments / "tables-t"
    results = Results(Engine(torch.device("cpu")), DistanceStore(experiments / "distances"), splits)
    results.add(methods)
    tables, differences = [], []
    protocols = [*dict.fromkeys(protocol_of(split) for split in splits)]
    for protocol in [*protocols, *[PROTOCOLS["2afc-likelihood"]] * likelihood]:
        own = [split for split in splits if split.card["kind"] == protocol.kind]
        drawn = Bootstrap(protocol, own, bootstrap, 0)
        published = read_paper(Path("experiments/reference"), protocol) if paper else {}
        caption = caption_of(own[0].card["observers"], paper)
        table = make_table(methods, own, results, drawn, caption, published, with_observers=True)
        tables.append(table)
        differences += differences_of(table, drawn) if with_differences else []
    keep_other_tables(folder, content_of(splits), *(table.protocol.file for table in tables))
    write_tables(folder, tables)
    write_differences(folder / "differences.csv", differences)
    return folder


def inputs_of(experiments: Path, splits: Sequence[PackedSplit], *overrides: str) -> Inputs:
    """The inputs of a report on some splits."""
    own = ("data=mini", "tables=tables-t", "name=report-t", "download=false", "report.maps=0", *overrides)
    cfg = parse(settings("report", *own), ReportConfig)
    cfg.experiments = str(experiments)  # the name may have characters of Hydra's grammar
    inputs = Inputs(cfg)
    inputs.splits_of = lambda kind: [split for split in splits if split.card["kind"] == kind]
    return inputs


def make_report(experiments: Path, splits: Sequence[PackedSplit], distances: Distances, *overrides: str, **of_tables):
    """Make a report on splits with some distances."""
    methods = write_distances(experiments, splits, distances)
    tables = make_tables(experiments, splits, methods, **of_tables)
    inputs = inputs_of(experiments, splits, *overrides)
    index = make_page(inputs, experiments / "report-t", {}, {"training": "no run <has> logged"})
    return Report({split.name: split for split in splits}, distances, index, tables, inputs)


def random_votes(count: int, seed: int) -> np.ndarray:
    """Random shares of five judges."""
    return np.random.default_rng(seed).integers(0, 6, count) / 5


def random_distances(labels: Sequence[str], splits: Sequence[PackedSplit]) -> Distances:
    """Distances of methods; each method agrees more with the votes than the one before."""
    rng, found = np.random.default_rng(7), {}
    for place, label in enumerate(labels):
        found[label] = {}
        for split in splits:
            pull = place * (split.votes - 0.5)
            columns = (rng.random(len(split)) + pull, rng.random(len(split)) - pull)
            found[label][split.name] = columns[: len(protocol_of(split).distances)]
    return found
