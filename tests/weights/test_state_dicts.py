"""Digests of weights: of values, whatever their type."""

import pytest
import torch

from lpips_repro.backbones import Backbone, gaussian_state
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
