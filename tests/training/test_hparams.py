"""Settings and final scores of runs, side by side."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from torch.utils.tensorboard import SummaryWriter

from lpips_repro.config import TrainConfig, parse
from lpips_repro.training.hparams import METRICS, write_hparams
from tests.compose import settings

SCORES = {"2afc": {"cnn": {"score": 70.0}, "all": {"score": 68.5}}, "jnd": {"all": {"score": 51.25}}}


def written(folder, *overrides):
    cfg = parse(settings("train", "data=mini", "net=squeeze", "variant=lin", *overrides), TrainConfig)
    with SummaryWriter(str(folder)) as board:
        write_hparams(board, cfg, SCORES)
    return EventAccumulator(str(folder)).Reload()


def plugin(found, tag):
    return found.SummaryMetadata(tag).plugin_data.content


def test_a_run_has_what_tells_it_from_others(tmp_path):
    found = written(tmp_path, "seed=3", "trainer.learning_rate=0.01")
    start = metadata.parse_session_start_info_plugin_data(plugin(found, metadata.SESSION_START_INFO_TAG))
    values = {key: value.string_value or value.number_value for key, value in start.hparams.items()}
    assert {key: values[key] for key in ("data", "net", "variant", "version", "seed", "learning_rate")} == {
        "data": "mini", "net": "squeeze", "variant": "lin", "version": "0.1", "seed": 3, "learning_rate": 0.01
    }  # fmt: skip
    assert (values["schedule"], values["optimizer_name"]) == ("released", "adam")
    assert values["compile"] == "false"
    assert "log_every" not in values


def test_the_columns_are_the_same_for_all_runs_and_hold_the_final_scores(tmp_path):
    found = written(tmp_path)
    experiment = metadata.parse_experiment_plugin_data(plugin(found, metadata.EXPERIMENT_TAG))
    first = [info.name for info in experiment.hparam_infos if info.differs]
    assert first == ["data", "net", "variant", "version", "seed"]
    assert [info.name.tag for info in experiment.metric_infos] == list(METRICS)
    scores = {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]}
    assert scores == pytest.approx({"val_final/2afc_all": 68.5, "val_final/jnd_all": 51.25})
