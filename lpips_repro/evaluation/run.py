"""The evaluation: packed splits, distances (only those that are missing), scores, tables."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig

from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError
from lpips_repro.evaluation.columns import columns_of
from lpips_repro.evaluation.distances import Distance, DistanceStore, compute_distances
from lpips_repro.evaluation.methods import Method, list_methods
from lpips_repro.evaluation.reference import read_paper
from lpips_repro.evaluation.tables import Bootstrap, Row, empty_row, method_row, observer_rows
from lpips_repro.evaluation.write import remove_tables, terminal_table, write_tables
from lpips_repro.run_record import choose_device, record_run

log = logging.getLogger(__name__)


def evaluate(composed: DictConfig) -> None:
    """Write and print the tables that the composed settings (`configs/evaluate.yaml`) ask for.

    Raises:
        UserError: for a setting, a file of the dataset or a device that cannot be used.
    """
    cfg = parse(composed, EvaluateConfig)
    device = choose_device(cfg.device)
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # its 10-bit mantissa would move the scores
    methods = list_methods(cfg)
    if not methods:
        raise UserError("metric=[] net=[]: nothing to evaluate: name at least one of them")
    splits = prepare(cfg.data, cfg.seed, "val")
    for split in splits:
        split.verify()
        if split.card["kind"] == "jnd" and not split.votes.any():
            raise UserError(f"{split.name}: nobody answered 'same' to any pair, so its mAP is undefined: take it away")
    store = DistanceStore(Path(cfg.experiments) / "distances")
    results = _Results(cfg, device, store, splits)
    for method in methods:
        results.add(method)
    log.info(results.summary())
    folder = Path(cfg.experiments) / cfg.name
    record_run(folder, composed)
    for kind in ("2afc", "jnd"):
        remove_tables(folder, kind)  # none of another run may stay beside those of this one
        chosen = [split for split in splits if split.card["kind"] == kind]
        if chosen:
            _write(cfg, folder, kind, chosen, methods, results)


class _Results:
    """The distances of every method on every split, and why a method has none."""

    def __init__(self, cfg: EvaluateConfig, device: torch.device, store: DistanceStore, splits: Sequence[PackedSplit]):
        self.cfg, self.device, self.store, self.splits = cfg, device, store, splits
        self.distances: dict[str, dict[str, dict]] = {}  # label -> split name -> columns
        self.identity: dict[str, dict] = {}
        self.not_run: dict[str, str] = {}
        self.computed = self.reused = 0

    def add(self, method: Method) -> None:
        """Load the method's distances, computing those that are missing."""
        try:
            distance = method.build(self.device)
        except UserError as error:
            reason = f"not run: {error}"
            if reason not in self.not_run.values():
                log.warning("%s %s", method.label, reason)
            self.not_run[method.label] = reason
            return
        self.identity[method.label] = distance.identity
        self.distances[method.label] = {split.name: self._on_split(method, distance, split) for split in self.splits}

    def _on_split(self, method: Method, distance: Distance, split: PackedSplit) -> dict:
        stored = self.store.load(method.label, distance.identity, split)
        if stored is not None:
            self.reused += 1
            return stored
        values = compute_distances(distance, split, self.device, self.cfg.batch_size, method.label)
        self.store.save(method.label, distance.identity, split, values)
        self.computed += 1
        return values

    def summary(self) -> str:
        if self.computed == 0:
            return f"distances: all {self.reused} there already in {self.store.root}, nothing recomputed"
        return f"distances: {self.computed} computed, {self.reused} there already, in {self.store.root}"


def _write(
    cfg: EvaluateConfig, folder: Path, kind: str, splits: list[PackedSplit], methods: list[Method], results: _Results
) -> None:
    resize = " and ".join(sorted({split.card["resize"] for split in splits}))
    common = f"resize={resize} bootstrap={cfg.bootstrap} seed={cfg.seed}"
    # The paper's figures belong to BAPPS as the released loader reads it.
    with_paper = cfg.data.name == "bapps" and cfg.data.resize.value == "pil_bilinear"
    paper = read_paper(Path(cfg.reference), kind) if with_paper else {}
    bootstrap = Bootstrap(splits, cfg.bootstrap, cfg.seed)
    rows: list[Row] = observer_rows(splits, bootstrap, common) if kind == "2afc" else []
    for row in rows:
        row.paper = paper.get((row.method, ""), {})
    for method in methods:
        if method.label in results.not_run:
            row = empty_row(method, splits[0].card["observers"], results.not_run[method.label])
        else:
            distances = {split.card["split"]: results.distances[method.label][split.name] for split in splits}
            words = " ".join(f"{key}={value}" for key, value in results.identity[method.label].items() if value)
            row = method_row(method, distances, splits, bootstrap, f"{words} {common}")
        row.paper = paper.get(method.paper, {})
        rows.append(row)
    columns = columns_of(kind, [split.card["split"] for split in splits])
    paths = write_tables(folder, kind, rows, columns, with_paper)
    print(terminal_table(kind, rows, columns, with_paper))
    print(f"written: {', '.join(map(str, paths))}\n")
