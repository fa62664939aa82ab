"""The tiny packed splits of the training tests."""

from tests.training.conftest import splits  # noqa: F401 (a fixture is used by its name)
