"""The rate at which triplets are built."""

import pytest
import torch
from hydra import initialize_config_dir

from lpips_repro.benchmark import building as module
from lpips_repro.benchmark.building import bench_building
from tests.benchmark.small import small_config
from tests.compose import CONFIGS


def test_one_process_and_two_processes_build_the_same_number_of_triplets(tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(module, "available_cores", lambda: 4)
    monkeypatch.setattr(module, "build_dataset", built.append)
    one, two = bench_building(small_config(tmp_path), torch.device("cpu"))
    assert (one.mode, two.mode) == ("1 process", "2 processes")
    assert [(cfg.train, cfg.val, cfg.jnd, cfg.workers) for cfg in built] == [(10, 0, 0, 1), (10, 0, 0, 2)]
    assert (one.rate * one.seconds, two.rate * two.seconds) == pytest.approx((10, 10))


def test_triplets_are_built_from_the_photographs_of_mini(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "available_cores", lambda: 1)
    cfg = small_config(tmp_path)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):  # as in a script
        (row,) = bench_building(cfg, torch.device("cpu"))
    assert row.rate > 1
