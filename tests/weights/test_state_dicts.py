"""Weights in files, and their digests: of values, whatever their type."""

import sys

import pytest
import torch

from lpips_repro.backbones import Backbone, gaussian_state
from lpips_repro.errors import UserError
from lpips_repro.weights.state_dicts import digest_state, read_state


def test_digests_of_weights_stay_what_they_were():
    state = {"b": torch.arange(6.0).reshape(2, 3).T, "a": torch.tensor(3), "empty": torch.zeros(0, 4)}
    assert digest_state(state) == "ba47e123c44f6c503d098ac054d3a2a2427ad99a527a6bb54fb5fcfaaac6e3a4"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_weights_of_any_float_type_are_digested_and_loaded(dtype, tmp_path):
    state = {key: value.to(dtype) for key, value in gaussian_state("squeeze", 0).items()}
    torch.save(state, tmp_path / "weights.pth")
    found = read_state(tmp_path / "weights.pth")
    assert digest_state(found) == digest_state(state)
    first = next(iter(state))
    assert digest_state({**state, first: torch.ones_like(state[first])}) != digest_state(state)
    assert torch.equal(Backbone("squeeze", found).state_dict()[first], state[first].float())


def test_weights_of_safetensors_are_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    state = gaussian_state("squeeze", 0)
    safetensors.save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "weights.safetensors")
    assert digest_state(read_state(tmp_path / "weights.safetensors")) == digest_state(state)


def test_a_file_of_safetensors_that_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"weights.safetensors: not a readable weights file \(.*\): move it away"):
        read_state(file)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(UserError, match=r"weights.safetensors: safetensors is not installed: run pip install .*timm"):
        read_state(file)
