"""Finished training runs: their data, and the selection of those that are rows of a table.

A run's folder has `weights.pth`, a state dict in the released format, and `summary.json` (what was trained on which
data), which is written last.

A dataset's name, such as folder or mini, may stand for different data. So a run on a dataset of the table's name is a
row only if all 2AFC splits that the run and the table have in common, and at least one, have equal digests. The table's
splits are the validation splits that it scores, and the training splits if they are packed. Missing training splits are
not made or downloaded.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from lpips_repro.config import EvaluateConfig
from lpips_repro.config.yaml_files import read_settings
from lpips_repro.datasets.packed import read_card
from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError, expected
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.files import read_json
from lpips_repro.weights.state_dicts import read_state

log = logging.getLogger(__name__)

SUMMARY_TYPES = {**dict.fromkeys(("net", "backbone", "variant", "version", "data"), str), "seed": int, "splits": dict}


@dataclass(frozen=True)
class TrainedRun:
    """A finished training run: its folder and its summary.

    Attributes:
        splits: the data of training and validation: see `digests_of`.
    """

    folder: Path
    net: str
    backbone: str
    variant: str
    version: str
    seed: int
    data: str
    splits: dict[str, str]

    def state(self) -> dict[str, Tensor]:
        """The exported weights; UserError if their file is missing or damaged."""
        file = self.folder / "weights.pth"
        try:
            return read_state(file)
        except UserError as error:
            what = "damaged" if file.is_file() else "missing"
            raise UserError(
                f"{file}: {what}: run the command in {self.folder / 'run.json'} again: it exports the weights again"
                " from last.pt"
            ) from error

    @property
    def without_seed(self) -> str:
        """The run's name without the seed, which is equal for runs that differ only in the seed."""
        return "".join(self._around_seed)

    @property
    def origin(self) -> str:
        """The origin in its row. If settings are not the defaults, it has the short hash of the run's name.

        See `lpips_repro.training.run_name`.
        """
        before, after = self._around_seed
        return "trained here" + (f", {after.removeprefix('-')}" if before and after else "")

    @property
    def _around_seed(self) -> tuple[str, str]:
        """The run's name before and after the last seed: the name of its data may also have one."""
        before, _, after = self.folder.name.rpartition(f"-seed{self.seed}")
        return before, after

    @property
    def training(self) -> dict[str, Any]:
        """The settings of the training, such as epochs and optimizer; empty if `config.yaml` cannot be read."""
        try:
            config = read_settings(self.folder / "config.yaml")
            found = cast(dict[str, Any], OmegaConf.to_container(config.trainer, resolve=True))
            if "optimizer" in config:  # earlier versions had no settings of it
                found["optimizer"] = OmegaConf.to_container(config.optimizer, resolve=True)
            return found
        except (OSError, ValueError, AttributeError, OmegaConfBaseException):
            return {}


def find_runs(experiments: Path) -> list[TrainedRun]:
    """The finished runs in a folder, sorted by name and seed. Other files named summary.json are skipped."""
    runs = []
    for file in experiments.glob("*/summary.json"):
        try:
            runs.append(read_run(file))
        except (OSError, ValueError, LookupError, TypeError):  # another program's file, or another kind of summary
            is_ours = (file.parent / "last.pt").is_file()
            remedy = ": if it is damaged, the command of the run writes it again" * is_ours
            log.info("%s: not the summary of a finished training run: skipped%s", file, remedy)
    return sorted(runs, key=lambda run: (run.without_seed, run.seed))


def read_run(file: Path) -> TrainedRun:
    """The run of a summary.

    Raises:
        OSError, ValueError, LookupError, TypeError: if it is not the summary of a finished run.
    """
    summary = read_json(file)
    found = {key: summary[key] for key in SUMMARY_TYPES}
    for key, kind in SUMMARY_TYPES.items():
        if type(found[key]) is not kind:
            raise TypeError(f"{key}={found[key]!r}: expected {kind.__name__}")
    return TrainedRun(file.parent, **found)


def digests_of(splits: Iterable[Split]) -> dict[str, str]:
    """The counts and digests of 2AFC splits by name, for a run's identity and summary."""
    return dict(_digest(split.card) for split in splits if split.card["kind"] == TWOAFC.kind)


def runs_asked_for(cfg: EvaluateConfig) -> list[TrainedRun]:
    """The finished runs on a dataset named `cfg.trained_on`, with the networks and variants of the settings.

    Raises:
        UserError: if it is not the table's own dataset, and there is no run on it.
    """
    runs = find_runs(Path(cfg.experiments)) if cfg.trained_on else []
    names = {run.data for run in runs}
    of_the_table = {cfg.data.name, getattr(cfg.data, "trained_on", None)}
    if cfg.trained_on and cfg.trained_on not in names | of_the_table:
        known = expected(cfg.trained_on, sorted(names)) if names else f"{cfg.experiments} has no finished run"
        raise UserError(f"trained_on={cfg.trained_on}: no finished run on it: {known}")
    return [run for run in runs if run.data == cfg.trained_on and run.net in cfg.net and run.variant in cfg.variant]


def on_these_data(cfg: EvaluateConfig, runs: Sequence[TrainedRun], splits: Sequence[Split]) -> list[TrainedRun]:
    """The runs that are rows of a table of these splits. It warns of each other run.

    If `cfg.trained_on` is another dataset than the table's, all runs are rows.
    """
    if cfg.trained_on != cfg.data.name:
        return list(runs)
    here = _digests_here(splits)
    return [run for run in runs if _is_on(run, here)]


def _digests_here(splits: Sequence[Split]) -> dict[str, str]:
    """The digests of a table's 2AFC splits, and of training splits that are packed next to them."""
    folders = {split.path.parent for split in splits}
    cards = [read_card(path) for folder in folders for path in folder.glob(f"{TWOAFC.kind}-train-*")]
    return dict(_digest(card) for card in cards if card is not None) | digests_of(splits)


def _digest(card: Mapping[str, Any]) -> tuple[str, str]:
    return "{kind}/{phase}/{split}".format(**card), f"{card['count']} triplets {card['digest'][:12]}"


def _is_on(run: TrainedRun, here: Mapping[str, str]) -> bool:
    """Whether a run is on these splits. It warns if not."""
    both = [name for name in here if name in run.splits]
    different = [f"{name} was {run.splits[name]}, is {here[name]}" for name in both if run.splits[name] != here[name]]
    if both and not different:
        return True
    reason = different[0] if different else "no 2AFC split in common"
    more = f" and {len(different) - 1} more" if len(different) > 1 else ""
    log.warning(
        "%s: no row: trained on other data that are also named %s: %s%s: to make it a row, give these data another"
        " name (configs/data/NAME.yaml) and set trained_on=%s",
        *(run.folder, run.data, reason, more, run.data),
    )
    return False
