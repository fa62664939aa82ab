"""Fixtures that several test modules of the datasets share."""

from pathlib import Path

import pytest

from tests.datasets.small_bapps import make_mirror


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Path:
    """The archives of a small BAPPS: see `make_mirror`."""
    return make_mirror(tmp_path / "mirror", monkeypatch)
