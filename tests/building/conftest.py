"""A small folder of photographs, and datasets built from it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lpips_repro.building.build import build_dataset
from lpips_repro.datasets.mini.photographs import PHOTOGRAPHS
from tests.compose import settings

FEW = ("train=12", "val=6", "jnd=6", "workers=1")


def write_photographs(folder: Path, count: int = 5) -> Path:
    """Write parts of real photographs, 150 x 130 pixels each, with noise, so that all have enough contrast."""
    (folder / "inner").mkdir(parents=True)
    files = [file for files in PHOTOGRAPHS.values() for file in files]
    for number in range(count):
        with Image.open(files[number % len(files)]) as image:
            left, top = 60 + 20 * (number // len(files)), 100
            part = np.asarray(image.convert("RGB").crop((left, top, left + 150, top + 130)))
        noise = np.random.default_rng(number).normal(0, 50, (130, 150, 1))
        path = folder / ("inner" if number == 1 else "") / f"{number}.{'jpg' if number % 2 else 'png'}"
        Image.fromarray((part + noise).clip(0, 255).astype(np.uint8)).save(path)
    return folder


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("photographs") / "images")


def build(photographs: Path, out: Path, *overrides: str) -> Path:
    """Build a small dataset."""
    return build_dataset(settings("build_dataset", f"images={photographs}", f"out={out}", *FEW, *overrides))


@pytest.fixture(scope="session")
def built(photographs, tmp_path_factory) -> Path:
    """A dataset without judgments, which tests must not change."""
    return build(photographs, tmp_path_factory.mktemp("built") / "dataset")


def digests(root: Path) -> dict[str, str]:
    """The SHA-256 of every file."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)
