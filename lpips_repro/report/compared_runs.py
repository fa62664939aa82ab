"""The training runs that are compared, with their stored distances."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from lpips_repro.config import DataOfRunConfig, parse
from lpips_repro.config.paths import CONFIGS
from lpips_repro.config.yaml_files import read_settings
from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError, expected
from lpips_repro.evaluation.methods.finished_runs import TrainedRun, find_runs, read_run
from lpips_repro.evaluation.protocols import Distances, Protocol
from lpips_repro.evaluation.tables.reader import read_rows
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.quoting import quoted
from lpips_repro.report.stored_distances import distances_of
from lpips_repro.runs.run_name import default_settings, flat_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ComparedRun:
    """A finished run.

    Attributes:
        label: name of the run, or its path if another compared run has the same name.
        run: description of the run.
        config: composed settings of the run.
    """

    label: str
    run: TrainedRun
    config: DictConfig

    @property
    def experiments(self) -> Path:
        """The folder that contains the run, its tables and its distances."""
        return self.run.folder.parent

    @property
    def tables(self) -> Path:
        """The folder of the tables on its data."""
        return self.experiments / f"tables-{self.run.data}"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run by full name."""
        return flat_settings(cast(dict[str, Any], OmegaConf.to_container(self.config, resolve=False)))

    @property
    def data(self) -> Any:
        """The settings of its dataset; settings that are newer than the run have their defaults."""
        file = CONFIGS / "data" / f"{self.run.data}.yaml"
        defaults = OmegaConf.load(file) if file.is_file() else OmegaConf.create()
        merged = OmegaConf.create({"data": OmegaConf.merge(defaults, self.config.data)})
        return parse(merged, DataOfRunConfig).data

    @property
    def evaluation(self) -> str:
        """The command that computes the distances of the run."""
        known = default_settings("dataset", data=self.run.data)
        here = {**self.settings, "experiments": str(self.experiments)}
        own = {key: here[key] for key in known if key in here and here[key] != known[key]}
        root = own.pop("data.root", None)
        words = (f"{key}={_text(own[key])}" for key in own if key == "experiments" or key.startswith("data."))
        variables = {"DATA": self.run.data, "DATA_ROOT": root, "ARGS": shlex.join(words)}
        given = (f"{name}={shlex.quote(str(value))}" for name, value in variables.items() if value)
        return " ".join(("make eval-tables", *given))

    def row(self, protocol: Protocol) -> Row:
        """Return the row of the run in a table, which may be the mean of several seeds.

        Raises:
            UserError: if there is no table, no row of the run, or no score in it.
        """
        file = self.tables / f"{protocol.file}.csv"
        if not file.is_file():
            raise UserError(f"{self.label}: no stored distances: {file} does not exist: run `{self.evaluation}`")
        rows = [row for row in read_rows(self.tables, protocol) if self.run.folder.name in row.run.split()]
        if not rows:
            raise UserError(f"{self.label}: no stored distances: {file} has no row of it: run `{self.evaluation}`")
        if not rows[0].scores:
            raise UserError(f"{self.label}: no stored distances: {rows[0].note}")
        return rows[0]

    def distances(self, row: Row, splits: Sequence[Split]) -> dict[str, Distances]:
        """Return the distances of the run by the short names of splits, given its row.

        Raises:
            UserError: if they are not stored.
        """
        seed = row.run.split().index(self.run.folder.name)
        try:
            found = distances_of(row, splits, self.experiments, seed)
        except UserError as error:
            raise UserError(f"{self.label}: no stored distances: run `{self.evaluation}`") from error
        return {split.card["split"]: found[split.name] for split in splits}


def _text(value: Any) -> str:
    """A value in Hydra's syntax."""
    return quoted(value) if isinstance(value, str) else "null" if value is None else str(value).lower()


def runs_to_compare(words: str | None, experiments: Path) -> list[ComparedRun]:
    """Return the runs with some names; all have the same validation data.

    Args:
        words: names or paths, separated as in a shell.
        experiments: folder in which names are looked up.

    Raises:
        UserError: if a run does not exist, is not finished or has other data, or there are fewer than two.
    """
    try:
        names = shlex.split(words or "")
    except ValueError as error:
        raise UserError(f"runs={words}: {error}: expected names of runs, separated by spaces") from error
    runs = [_run_of(name, experiments) for name in names]
    folders = [run.folder.resolve() for run in runs]
    if twice := next((run for run, folder in zip(runs, folders, strict=True) if folders.count(folder) > 1), None):
        raise UserError(f"runs={words}: {twice.folder} is named twice: expected different runs")
    if len(runs) < 2:
        raise UserError(f'runs={words or ""}: expected two or more runs: RUNS="NAME NAME"{_known_runs(experiments)}')
    for other in runs[1:]:
        _check_data(runs[0], other)
    short = [run.folder.name for run in runs]
    labels = [name if short.count(name) == 1 else str(run.folder) for name, run in zip(short, runs, strict=True)]
    return [ComparedRun(label, run, _config_of(run)) for label, run in zip(labels, runs, strict=True)]


def _run_of(name: str, experiments: Path) -> TrainedRun:
    folder = next((each for each in (experiments / name, Path(name).expanduser()) if each.is_dir()), None)
    if folder is None:
        known = [run.folder.name for run in find_runs(experiments)]
        there = expected(name, known) if known else f"{experiments} has no finished run: run `make train` first"
        raise UserError(f"runs: {name}: no such run: {there}")
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    file = folder / "summary.json"
    if not file.is_file():
        if (folder / "config.yaml").is_file() and (folder / "last.pt").is_file():
            raise UserError(f"{folder}: not finished: run its command again (it is in {folder / 'run.json'})")
        raise UserError(f"{folder}: not a finished training run: it has no summary.json{_known_runs(experiments)}")
    try:
        return read_run(file)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{file}: not the summary of a training run on judgments{_known_runs(experiments)}") from error


def _known_runs(experiments: Path) -> str:
    names = [run.folder.name for run in find_runs(experiments)]
    return f": finished runs in {experiments}: {', '.join(names) or 'none'}"


def _check_data(first: TrainedRun, other: TrainedRun) -> None:
    """UserError if two runs have different validation data."""
    one, two = ({name: of for name, of in run.splits.items() if "/val/" in name} for run in (first, other))
    different = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
    if first.data != other.data or different:
        name = different[0] if different else "their data"
        data = [of.get(name, run.data) for of, run in ((one, first), (two, other))]
        raise UserError(
            f"{other.folder}: other data than {first.folder}: {name}: {data[1]}, not {data[0]}: compare runs with the"
            " same data"
        )


def _config_of(run: TrainedRun) -> DictConfig:
    file = run.folder / "config.yaml"
    try:
        return read_settings(file)
    except (OSError, ValueError) as error:
        remedy = f"run the command of this run again (it is in {run.folder / 'run.json'}), which writes the file"
        raise UserError(f"{file}: cannot be read: {remedy}") from error
