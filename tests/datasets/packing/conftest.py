"""Packing by processes, as it is outside of tests."""

import pytest


@pytest.fixture(autouse=True)
def packing_in_threads() -> None:
    """Nothing takes the place of processes here: see `tests.conftest`."""
