import pytest
import torch
import torchvision

from lpips_repro.backbones import BACKBONES, Backbone, gaussian_state
from lpips_repro.errors import UserError

TORCHVISION = {"alex": torchvision.models.alexnet, "vgg": torchvision.models.vgg16}
TORCHVISION["squeeze"] = torchvision.models.squeezenet1_1


@pytest.mark.parametrize("net", BACKBONES)
def test_feature_maps_are_those_of_torchvisions_layers(net):
    model = TORCHVISION[net](weights=None)
    backbone = Backbone(net, model.state_dict())
    x = torch.rand(1, 3, 64, 64)
    expected = [model.features[: tap + 1](x) for tap in BACKBONES[net].taps]
    for found, wanted, channels in zip(backbone(x), expected, BACKBONES[net].channels, strict=True):
        assert found.shape[1] == channels
        torch.testing.assert_close(found, wanted)


def test_gaussian_weights_are_reproducible_and_of_the_documented_spread():
    state = gaussian_state("alex", seed=3)
    again, other = gaussian_state("alex", seed=3), gaussian_state("alex", seed=4)
    assert all(torch.equal(state[key], again[key]) for key in state)
    assert not torch.equal(state["features.0.weight"], other["features.0.weight"])
    assert state["features.0.bias"].abs().max() == 0
    weight = state["features.6.weight"]
    assert weight.std().item() == pytest.approx((2 / (192 * 9)) ** 0.5, rel=0.01)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("features.0.bias", None, "no entry 'features.0.bias'"),
        ("features.99.bias", torch.zeros(1), "unexpected entry 'features.99.bias'"),
        ("features.0.bias", torch.zeros(3), r"features.0.bias has shape \(3,\): expected \(64,\)"),
        ("features.0.bias", torch.full((64,), float("nan")), "features.0.bias holds values that are not finite"),
    ],
)
def test_spoilt_weights_are_refused_and_the_key_named(key, value, message):
    state = gaussian_state("alex", 0)
    state[key] = value
    if value is None:
        del state[key]
    with pytest.raises(UserError, match=message):
        Backbone("alex", state)


def test_unknown_net_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="'resnet': expected one of alex, squeeze, vgg"):
        Backbone("resnet")
