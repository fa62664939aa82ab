"""The settings and final scores of a run, for TensorBoard's page "HParams", which compares runs."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from lpips_repro.config import TrainConfig

# The page takes its columns from one run, so that all runs have the same. Their tags sort after the curves.
METRICS = {
    f"val_final/{protocol}_{column}": (protocol, column)
    for protocol, columns in {"2afc": ("all", "distortions", "real"), "jnd": ("all",)}.items()
    for column in columns
}
FIRST = ("data", "net", "variant", "version", "seed")  # shown first, as settings "that differ"
NO_RESULT = ("log_every", "checkpoint_minutes")  # settings that change no result


def write_hparams(
    board: SummaryWriter, cfg: TrainConfig, scores: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> None:
    """Write a run's settings and final scores.

    Args:
        board: the writer of the run's folder; cfg: the run's settings.
        scores: result of `write_run_tables`.
    """
    found = {
        tag: scores[protocol][column]["score"]
        for tag, (protocol, column) in METRICS.items()
        if column in scores.get(protocol, {})
    }
    experiment, start, end = hparams(settings_of(cfg), dict.fromkeys(METRICS, 0.0))
    shown = HParamsPluginData.FromString(experiment.value[0].metadata.plugin_data.content)
    for info in shown.experiment.hparam_infos:
        info.differs = info.name in FIRST
    experiment.value[0].metadata.plugin_data.content = shown.SerializeToString()
    for tag, score in found.items():
        board.add_scalar(tag, score)
    for summary in (experiment, start, end):
        board._get_file_writer().add_summary(summary)  # as in `SummaryWriter`, whose own method writes to another run


def settings_of(cfg: TrainConfig) -> dict[str, str | float]:
    """The settings that distinguish runs, by short names."""
    (net,), (variant,) = cfg.net, cfg.variant
    settings: dict[str, Any] = {"data": cfg.data.name, "net": net, "variant": variant, "version": cfg.version}
    settings["seed"] = cfg.seed
    settings |= {key: value for key, value in dataclasses.asdict(cfg.trainer).items() if key not in NO_RESULT}
    settings |= {f"optimizer_{key}": value for key, value in dataclasses.asdict(cfg.optimizer).items()}
    named = {key: value.value if isinstance(value, enum.Enum) else value for key, value in settings.items()}
    as_text = {key: str(value).lower() if isinstance(value, bool) else value for key, value in named.items()}
    return {key: value for key, value in as_text.items() if isinstance(value, str | float | int)}
