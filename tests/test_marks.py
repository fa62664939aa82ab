import pytest
import torch

from tests.conftest import pytest_runtest_setup


class Marked:
    """A test with one marker."""

    def __init__(self, mark):
        self.mark = mark

    def get_closest_marker(self, name):
        return name if name == self.mark else None


def test_tests_marked_cuda_are_skipped_without_a_device_and_no_others(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(pytest.skip.Exception, match=r"^no CUDA device$"):
        pytest_runtest_setup(Marked("cuda"))
    pytest_runtest_setup(Marked("slow"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    pytest_runtest_setup(Marked("cuda"))
