"""How fast triplets are built from the photographs of the mini dataset, with one process and with two."""

import contextlib
import io
import shutil
import tempfile
import time
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from lpips_repro.benchmark.rate_table import Row
from lpips_repro.building.build import build_dataset
from lpips_repro.config import BenchConfig
from lpips_repro.config.paths import CONFIGS
from lpips_repro.datasets.mini.photographs import PHOTOGRAPHS
from lpips_repro.parallel import available_cores

TASK = "build triplets"


def bench_building(cfg: BenchConfig, device: torch.device) -> list[Row]:
    """Return a row per number of processes. The time includes decoding photographs and writing files."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        photographs.mkdir()
        for file in (file for files in PHOTOGRAPHS.values() for file in files):
            shutil.copy(file, photographs)
        for workers in sorted({1, min(available_cores(), 2)}):
            seconds = _seconds(photographs, Path(folder) / f"{workers}", cfg.build_triplets, workers)
            row = Row(TASK, mode=f"{workers} process{'es' * (workers > 1)}", unit="triplets/s", repeats=1)
            row.rate, row.seconds = cfg.build_triplets / seconds, seconds
            rows.append(row)
    return rows


def _seconds(photographs: Path, out: Path, count: int, workers: int) -> float:
    settings = OmegaConf.load(CONFIGS / "build_dataset.yaml")
    assert isinstance(settings, DictConfig)
    for key in ("defaults", "hydra"):  # Hydra is in use for the settings of the benchmark, and cannot compose others
        del settings[key]
    places = {"images": str(photographs), "out": str(out)}
    composed = OmegaConf.merge(settings, places, {"train": count, "val": 0, "jnd": 0, "workers": workers})
    assert isinstance(composed, DictConfig)
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):  # it prints advice on the next step
        build_dataset(composed)
    return time.perf_counter() - start
