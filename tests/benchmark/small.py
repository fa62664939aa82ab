"""Settings of benchmarks that are small enough for a test."""

from pathlib import Path

from omegaconf import DictConfig

from lpips_repro.config import BenchConfig, parse
from tests.compose import settings

SMALL = (
    "repeats=1",
    "batch_size=2",
    "pairs=3",
    "table_triplets=4",
    "split_triplets=[2,4]",
    "file_pairs=2",
    "matrix_images=3",
    "build_triplets=10",
    "compile=false",
    "device=cpu",
)


def small(folder: Path, *overrides: str) -> DictConfig:
    """Composed settings of `make bench`."""
    return settings("bench", *SMALL, f"experiments={folder}", *overrides)


def small_config(folder: Path, *overrides: str) -> BenchConfig:
    """The same settings, parsed."""
    return parse(small(folder, *overrides), BenchConfig)
