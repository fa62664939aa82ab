"""What makes stored distances those of another method: each thing that the values depend on."""

import pytest
import torch

from lpips_repro.backbones import gaussian_state
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.methods.published import lpips_distance
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.weights.official_lin import official_lin_state

BACKBONE = gaussian_state("squeeze", 0)
LIN = official_lin_state("squeeze", "0.1", download=False)


def identity(variant="lin", version="0.1", backbone=BACKBONE, lin=LIN, dtype=torch.float32, compiled=False, **origin):
    metric = LPIPS("squeeze", variant, version, weights=backbone, lin_weights=lin if variant == "lin" else None)
    return lpips_distance(metric, Engine(torch.device("cpu"), dtype, compiled), **origin).identity


def changed(state):
    """The state with another last number in its last tensor."""
    last = list(state)[-1]
    values = state[last].clone()
    values.view(-1)[-1] += 1e-3
    return {**state, last: values}


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"lin": changed(LIN)}, {"lin"}),
        ({"backbone": changed(BACKBONE)}, {"weights"}),
        ({"version": "0.0"}, {"version"}),
        ({"variant": "off_the_shelf"}, {"variant", "lin"}),
        ({"dtype": torch.bfloat16}, {"dtype"}),
        ({"compiled": True}, {"compiled"}),
        ({"init": "gaussian(seed=1)"}, {"init"}),
    ],
)
def test_what_the_values_depend_on_is_in_the_identity(change, keys):
    one, other = identity(), identity(**change)
    assert {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)} == keys


def test_the_same_weights_are_the_same_identity():
    copied = {key: value.clone() for key, value in LIN.items()}
    assert identity() == identity(lin=copied)
    assert identity()["lin"] is not None
    assert identity("off_the_shelf")["lin"] is None
