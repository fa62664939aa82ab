import functools

import lpips as released
import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.errors import UserError
from tests.released import empty_released_metric

NETS = ("alex", "vgg", "squeeze")


@functools.cache
def released_state(net: str, lin: bool = True) -> dict:
    metric = released.LPIPS(net=net, lpips=lin, pnet_rand=True, verbose=False)
    return metric.state_dict()


@pytest.mark.parametrize("lin", [True, False])
@pytest.mark.parametrize("net", NETS)
def test_a_released_state_dict_comes_back_unchanged(net, lin):
    state = released_state(net, lin)
    metric = LPIPS.from_official(net, "0.1", state)
    assert metric.variant == ("lin" if lin else "off_the_shelf")
    back = metric.official_state_dict()
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


@pytest.mark.parametrize("net", NETS)
def test_our_state_dict_loads_strictly_into_the_released_package(net):
    ours = LPIPS(net, "lin", weights=gaussian_state(net, 0))
    empty_released_metric(net).load_state_dict(ours.official_state_dict(), strict=True)


def test_state_dict_holds_copies():
    metric = LPIPS("alex", "lin", weights=gaussian_state("alex", 0))
    metric.official_state_dict()["lin0.model.1.weight"].fill_(7)
    assert metric.lin[0].max() != 7


def change(key, value):
    return lambda state: state.update({key: value})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("lin2.model.1.weight"), "lin2.model.1.weight"),
        (lambda s: s.pop("net.slice1.0.bias"), "no entry 'features.0.bias'"),
        (change("net.slice2.0.bias", torch.zeros(64)), "unexpected entry 'net.slice2.0.bias'"),
        (change("net.slice1.99.bias", torch.zeros(64)), "unexpected entry 'net.slice1.99.bias'"),
        (change("head.weight", torch.zeros(1)), "unexpected entry 'head.weight'"),
        (change("lin0.model.1.weight", torch.zeros(1, 63, 1, 1)), "differs from its duplicate|lin0.model.1.weight"),
        (change("lins.0.model.1.weight", torch.zeros(1, 64, 1, 1)), "lins.0.model.1.weight differs"),
        (change("scaling_layer.shift", torch.zeros(1, 3, 1, 1)), "scaling_layer.shift"),
        (change("net.slice1.0.bias", torch.zeros(65)), r"features.0.bias has shape \(65,\)"),
        (change("net.slice1.0.bias", torch.full((64,), float("inf"))), "features.0.bias holds values"),
    ],
)
def test_a_damaged_state_dict_is_refused_and_the_key_named(spoil, message):
    state = dict(released_state("alex"))
    spoil(state)
    with pytest.raises(UserError, match=message):
        LPIPS.from_official("alex", "0.1", state)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lin0.model.1.weight", torch.full((1, 64, 1, 1), -0.5), "lin0.model.1.weight holds -0.5"),
        ("lin0.model.1.weight", torch.full((1, 64, 1, 1), float("nan")), "not finite"),
        ("lin0.model.1.weight", torch.zeros(64), r"shape \(64,\): expected \(1, 64, 1, 1\)"),
        ("lin9.model.1.weight", torch.zeros(1, 64, 1, 1), "unexpected entry 'lin9.model.1.weight'"),
        ("lin1.model.1.weight", None, "no entry 'lin1.model.1.weight'"),
    ],
)
def test_damaged_lin_weights_are_refused_and_the_key_named(key, value, message):
    state = {name: v for name, v in released_state("alex").items() if name.startswith("lin") and "lins" not in name}
    state[key] = value
    if value is None:
        del state[key]
    with pytest.raises(UserError, match=message):
        LPIPS("alex", "lin", weights=gaussian_state("alex", 0), lin_weights=state)
