"""Layers that take less time compute what PyTorch's compute."""

import dataclasses
import itertools

import pytest
import torch
from torch import nn
from torchvision.models.squeezenet import Fire

from lpips_repro.backbones import Backbone
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.quick_layers import (
    OneReluFire,
    PointwiseConv2d,
    SeparableMaxPool2d,
    replace_layers,
    spent_maps,
)
from tests.generated import formula_state

LAST = torch.channels_last


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("ceil", [True, False])
def test_a_maximum_is_that_of_torch_to_the_bit(ceil, dtype):
    direct = nn.MaxPool2d(3, 2, ceil_mode=ceil)
    quick = SeparableMaxPool2d(direct)
    for height, width in itertools.product((3, 4, 5, 8, 13), repeat=2):
        x = torch.randn(2, 5, height, width, generator=torch.Generator().manual_seed(height)).to(dtype)
        for images in (x, x.to(memory_format=LAST)):
            assert torch.equal(quick(images), direct(images))
        assert quick(x.to(memory_format=LAST)).is_contiguous(memory_format=LAST)


def test_a_maximum_of_less_than_a_window_is_that_of_torch():
    direct = nn.MaxPool2d(3, 2, ceil_mode=True)
    x = torch.randn(1, 2, 2, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(SeparableMaxPool2d(direct)(x), direct(x))


def test_the_layer_that_is_replaced_does_not_run(monkeypatch):
    layers = [(SeparableMaxPool2d(nn.MaxPool2d(3, 2)), 3), (PointwiseConv2d(nn.Conv2d(3, 2, 1)), 1)]
    for layer, window in layers:
        monkeypatch.setattr(type(layer.direct), "forward", None)
        assert layer(torch.zeros(1, 3, window, window)).shape[2:] == (1, 1)


def test_a_maximum_passes_on_what_is_not_a_number():
    x = torch.zeros(1, 1, 7, 7)
    x[..., 3, 4] = torch.nan
    assert torch.equal(SeparableMaxPool2d(nn.MaxPool2d(3, 2))(x).isnan(), nn.MaxPool2d(3, 2)(x).isnan())


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_of_one_place_is_that_of_torch(bias):
    direct = nn.Conv2d(6, 9, 1, bias=bias).double().requires_grad_(False)
    x = torch.randn(2, 6, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(PointwiseConv2d(direct)(x), direct(x), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 1, stride=2),
        nn.Conv2d(4, 4, 1, padding=1),
        nn.Conv2d(4, 4, 1, groups=2),
        nn.MaxPool2d(2, 2),
        nn.MaxPool2d(3, 1),
        nn.MaxPool2d(3, 2, padding=1),
        nn.MaxPool2d(3, 2, dilation=2),
        nn.MaxPool2d(3, 2, return_indices=True),
        nn.AvgPool2d(3, 2),
    ],
)
def test_other_layers_stay_as_they_are(layer):
    network = nn.Sequential(layer)
    replace_layers(network, PointwiseConv2d, SeparableMaxPool2d)
    assert network[0] is layer


@pytest.mark.parametrize("net", ["squeeze", "alex"])
def test_an_evaluator_has_the_distances_of_its_metric(net):
    metric = LPIPS(net, "off_the_shelf", weights=formula_state(net))
    x, y = torch.rand(2, 2, 3, 70, 83, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(metric.optimized(compiled=False)(x, y), metric(x, y), rtol=1e-5, atol=1e-7)


def test_all_pointwise_layers_of_squeeze_are_replaced():
    backbone = (
        LPIPS("squeeze", "off_the_shelf", weights=formula_state("squeeze")).optimized(compiled=False).core.backbone
    )
    kinds = [type(layer) for layer in backbone.modules()]
    assert (kinds.count(PointwiseConv2d), kinds.count(SeparableMaxPool2d)) == (16, 3)


@pytest.mark.parametrize(
    ("net", "spent"), [("alex", {0, 1, 2, 3, 4}), ("squeeze", {0, 1, 2, 3, 4, 5, 6}), ("vgg", {0, 1, 2, 3, 4})]
)
def test_maps_of_the_papers_networks_may_be_overwritten_after_the_next_layer(net, spent):
    assert spent_maps(Backbone(net)) == spent


@pytest.mark.parametrize(
    "following", [nn.ReLU(inplace=True), nn.Identity(), nn.Dropout(), nn.Flatten(2), nn.Sequential(nn.Identity())]
)
def test_a_map_is_not_overwritten_if_the_next_layer_may_change_it_or_return_it(monkeypatch, following):
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), following, nn.Conv2d(4, 4, 1))
    backbone = Backbone("alex")
    backbone.features, backbone.spec = layers, dataclasses.replace(backbone.spec, taps=(0, 2))
    assert spent_maps(backbone) == {1}


def test_a_spent_map_is_yielded_after_the_next_layer_has_read_it_and_its_values_are_the_same():
    backbone = Backbone("alex").requires_grad_(False)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = backbone(images)
    backbone.spent = spent_maps(backbone)
    for one, other in zip(backbone.each_map(images), expected, strict=True):
        assert torch.equal(one, other)
        one.fill_(torch.nan)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_an_evaluator_that_overwrites_maps_gives_the_distances_of_the_metric(net):
    metric = LPIPS(net, "off_the_shelf", weights=formula_state(net))
    images = torch.rand(3, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    evaluator = metric.optimized(compiled=False)
    for found, expected in zip(evaluator.triplet(*images), metric.triplet(*images), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert not metric.backbone.spent  # a user's hooks see the maps of the metric itself


def test_a_fire_module_with_one_relu_is_that_of_torchvision():
    direct = Fire(6, 2, 3, 5).double().requires_grad_(False)
    x = torch.randn(2, 6, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = direct(x)
    assert (expected == 0).any() and (expected[:, :3] > 0).any() and (expected[:, 3:] > 0).any()
    assert torch.equal(OneReluFire(direct)(x), expected)
    assert OneReluFire.fits(direct) and not OneReluFire.fits(nn.Sequential(direct))
