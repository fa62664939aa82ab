"""Fixtures that several test modules of the training share."""

import pytest

from tests.training.tiny import make_splits


@pytest.fixture(scope="session")
def splits(tmp_path_factory):
    """Tiny packed splits by phase."""
    return make_splits(tmp_path_factory.mktemp("tiny"))
