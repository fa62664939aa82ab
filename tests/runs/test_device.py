import pytest
import torch

from lpips_repro.config import Device
from lpips_repro.errors import UserError
from lpips_repro.runs import device as module
from lpips_repro.runs.device import choose_device


def test_auto_says_which_device_it_took_and_why(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level("INFO"):
        assert choose_device(Device.auto) == torch.device("cpu")
    assert "device=auto took cpu (" in caplog.text


def test_cuda_that_cannot_be_used_is_an_error_with_the_reason(monkeypatch):
    monkeypatch.setattr(module, "why_no_cuda", lambda: "no CUDA device or driver was found")
    with pytest.raises(UserError, match="device=cuda: no CUDA device or driver was found"):
        choose_device(Device.cuda)


@pytest.mark.cuda
def test_cuda_is_used_if_it_works():
    assert choose_device(Device.auto).type == choose_device(Device.cuda).type == "cuda"
