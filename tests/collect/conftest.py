"""A small dataset without judgments, and studies of it."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the libraries of `make collect` are not installed: make setup-collect")

from lpips_repro.collect.settings import CollectConfig
from lpips_repro.collect.study import OpenStudy, open_study
from lpips_repro.config import parse
from tests.compose import settings

FIELDS = {"2afc": ("ref", "p0", "p1"), "jnd": ("p0", "p1")}
SIDE = 16


def write_dataset(root: Path, val: int = 6, train: int = 4, jnd: int = 5, side: int = SIDE) -> Path:
    """Patches of noise, all different, in the BAPPS layout."""
    rng = np.random.default_rng(0)
    for kind, phase, count in (("2afc", "val", val), ("2afc", "train", train), ("jnd", "val", jnd)):
        for field in FIELDS[kind] if count else ():
            folder = root / kind / phase / "own" / field
            folder.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(rng.integers(60, 200, (side, side, 3), np.uint8)).save(folder / f"{index:06d}.png")
    return root


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("collect") / "dataset")


def config(dataset: Path, store: Path, *words: str) -> CollectConfig:
    composed = settings("collect", f"dataset={dataset}", f"store={store}", f"size={SIDE}", *words)
    return parse(composed, CollectConfig)


@pytest.fixture(scope="session")
def begun(dataset, tmp_path_factory) -> CollectConfig:
    """The settings of a study before anybody has judged."""
    cfg = config(dataset, tmp_path_factory.mktemp("begun") / "store")
    open_study(cfg).store.close()
    return cfg


@pytest.fixture
def study(begun, tmp_path) -> Iterator[OpenStudy]:
    """A study of its own for a test."""
    shutil.copytree(begun.store, tmp_path / "store")
    opened = open_study(dataclasses.replace(begun, store=str(tmp_path / "store")))  # quicker than to compose them
    yield opened
    opened.store.close()
