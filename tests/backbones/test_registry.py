import pytest
import torch
import torchvision

from lpips_repro.backbones import BACKBONES, Backbone, gaussian_state, torchvision_state
from lpips_repro.errors import UserError

TORCHVISION = {"alex": torchvision.models.alexnet, "vgg": torchvision.models.vgg16}
TORCHVISION["squeeze"] = torchvision.models.squeezenet1_1


@pytest.mark.parametrize("net", TORCHVISION)
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


@pytest.mark.parametrize("net", TORCHVISION)
def test_torchvisions_initialization_is_that_of_its_constructor(net):
    torch.manual_seed(0)
    ours, theirs = torchvision_state(net, seed=3), TORCHVISION[net](weights=None).state_dict()
    assert ours.keys() == {key for key in theirs if key.startswith("features.")}
    for key, value in ours.items():
        reference = theirs[key]
        if reference.abs().max() == 0:
            assert value.abs().max() == 0, key
            continue
        spread, bound, count = reference.std().item(), reference.abs().max().item(), value.numel()
        # Each side's standard error of the mean is spread / sqrt(count), of the spread at most that / sqrt(2).
        assert abs(value.mean() - reference.mean()).item() <= 6 * spread * (2 / count) ** 0.5, key
        assert value.std().item() == pytest.approx(spread, rel=6 / count**0.5), key
        if net != "vgg":  # uniform: both reach nearly to the bound; vgg's are Gaussian
            assert value.abs().max().item() == pytest.approx(bound, rel=10 / count), key


@pytest.mark.parametrize(
    ("net", "distribution"),
    [
        ("alex", lambda fan_in, fan_out: ("uniform", (1 / fan_in) ** 0.5)),
        ("squeeze", lambda fan_in, fan_out: ("uniform", (6 / fan_in) ** 0.5)),
        ("vgg", lambda fan_in, fan_out: ("normal", (2 / fan_out) ** 0.5)),
    ],
)
def test_torchvisions_initialization_has_the_documented_spread(net, distribution):
    # PyTorch's default; He's uniform; He's normal by fan out. Zero biases, but for PyTorch's default.
    state = torchvision_state(net, seed=3)
    for key, weight in state.items():
        if key.endswith(".weight"):
            area = weight[0, 0].numel()
            kind, size = distribution(weight.shape[1] * area, weight.shape[0] * area)
            bias = state[key.replace(".weight", ".bias")]
            if kind == "uniform":
                assert weight.abs().max() <= size, key
                assert weight.abs().max() >= 0.99 * size, key
                size /= 3**0.5
            assert weight.std().item() == pytest.approx(size, rel=6 / weight.numel() ** 0.5), key
            assert bias.abs().max() <= (size * 3**0.5 if net == "alex" else 0), key


def test_torchvisions_initialization_is_reproducible():
    state, again, other = (torchvision_state("alex", seed) for seed in (3, 3, 4))
    assert all(torch.equal(state[key], again[key]) for key in state)
    assert not torch.equal(state["features.0.weight"], other["features.0.weight"])


def test_torchvisions_initialization_leaves_the_global_random_state_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("CUDA's random state was set"))
    before = torch.get_rng_state()
    torchvision_state("alex", seed=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("features.0.bias", None, "no entry 'features.0.bias'"),
        ("features.99.bias", torch.zeros(1), "unexpected entry 'features.99.bias'"),
        ("features.0.bias", torch.zeros(3), r"features.0.bias has shape \(3,\): expected \(64,\)"),
        ("features.0.bias", torch.full((64,), float("nan")), "features.0.bias holds values that are not finite"),
        (
            "features.0.bias",
            torch.zeros(64, dtype=torch.int8),
            "features.0.bias has dtype torch.int8: expected floating",
        ),
    ],
)
def test_damaged_weights_are_refused_and_the_key_named(key, value, message):
    state = gaussian_state("alex", 0)
    state[key] = value
    if value is None:
        del state[key]
    with pytest.raises(UserError, match=message):
        Backbone("alex", state)


def test_unknown_net_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"'resnet': expected one of alex, .*squeeze, .*vgg"):
        Backbone("resnet")
