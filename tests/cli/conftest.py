"""The command in this process, and small image files."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lpips_repro.cli.main import main

NET = "alex-gaussian"  # random weights: no file is needed


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Restores the log level, which the command sets."""
    level = logging.getLogger("lpips_repro").level
    yield
    logging.getLogger("lpips_repro").setLevel(level)


@pytest.fixture
def command(monkeypatch, capsys) -> Callable[..., Ended]:
    """Runs `lpips-repro` with some arguments."""

    def run(*words: object) -> Ended:
        monkeypatch.setattr("sys.argv", ["lpips-repro", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return Ended(end.value.code or 0, printed.out, printed.err)

    return run


def write_image(path: Path, seed: int, size: tuple[int, int] = (64, 64)) -> Path:
    """Write a PNG of random pixels; size: (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Two folders of ten images with the same names."""
    for k in range(10):
        write_image(tmp_path / "refs" / f"{k}.png", k)
        write_image(tmp_path / "images" / f"{k}.png", 100 + k)
    return tmp_path / "refs", tmp_path / "images"
