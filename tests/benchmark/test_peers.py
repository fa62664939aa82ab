"""All implementations take part. The benchmark itself checks in every run that their values agree."""

import pytest
import torch

from lpips_repro.benchmark.classic import bench_classic
from lpips_repro.benchmark.evaluation import bench_evaluation
from lpips_repro.benchmark.training import bench_training, trainer_settings
from lpips_repro.benchmark.val_table import _methods, bench_val_table
from lpips_repro.config import Precision, TrainConfig, parse
from tests.benchmark.small import small_config
from tests.compose import settings

CPU = torch.device("cpu")


def implementations(rows) -> set[str]:
    assert not [row.note for row in rows if row.note]
    assert all(row.rate > 0 for row in rows)
    assert all(row.ratio and row.share_of_floor for row in rows if row.implementation == "ours")
    return {row.implementation for row in rows}


@pytest.mark.parametrize("net", ["alex", pytest.param("squeeze", marks=pytest.mark.slow), "vgg"])
def test_evaluations_agree(net, tmp_path):
    rows = bench_evaluation(net, small_config(tmp_path), CPU)
    piq = {"piq"} if net == "vgg" else set()
    assert implementations(rows) == {"ours", "lpips", "torchmetrics", "bare backbone"} | piq
    compared = [row for row in rows if row.implementation != "bare backbone"]
    assert all(row.difference < (0.02 if row.precision == "bfloat16" else 1e-4) for row in compared)


@pytest.mark.parametrize("net", ["alex", *(pytest.param(net, marks=pytest.mark.slow) for net in ("squeeze", "vgg"))])
def test_whole_val_tables_agree(net, tmp_path):
    rows = bench_val_table(net, small_config(tmp_path), CPU)
    assert [(row.implementation, row.mode, row.precision) for row in rows] == [
        *((name, "eager", "float32") for name in ("ours", "ours, ten seeds", "lpips", "a bare backbone per version"))
    ]
    ours, seeds, theirs, bare = rows
    assert {row.batch for row in rows} == {2 if net == "vgg" else 4}  # vgg takes more operations than alex
    assert (ours.peer, seeds.peer) == ("lpips", "one seed") and ours.share_of_floor == ours.rate / bare.rate
    assert ours.difference == seeds.difference == 0 and 0 < theirs.difference < 1e-5


def test_a_whole_val_table_is_off_the_shelf_and_lin_in_both_versions_with_other_heads_for_other_seeds():
    metrics = list(_methods("alex", seeds=3))
    rows = [(metric.variant, metric.version) for metric in metrics]
    both = [(variant, version) for version in ("0.0", "0.1") for variant in ("off_the_shelf", "lin")]
    assert rows == both + 2 * [("lin", "0.0"), ("lin", "0.1")]
    heads = {tuple(metric.head[:5].tolist()) for metric in metrics if metric.version == "0.1"}
    assert len(heads) == 4


def test_training_steps_agree(tmp_path):
    rows = bench_training("alex", small_config(tmp_path), CPU)
    assert implementations(rows) == {"ours", "lpips", "bare backbone, forward and backward"}
    assert {row.precision for row in rows if row.implementation == "ours"} == {"float32", "bfloat16"}


def test_the_trainer_has_the_settings_of_make_train_except_for_changes():
    default = parse(settings("train"), TrainConfig).trainer
    assert trainer_settings() == default
    assert trainer_settings(precision="bfloat16").precision is Precision.bfloat16


def test_classic_metrics_agree(tmp_path):
    rows = bench_classic(small_config(tmp_path), CPU)
    assert implementations(rows) == {"ours", "scikit-image", "piq", "one read of the inputs"}
