import pytest
import torch
from torch import nn

from lpips_repro.backbones import Backbone, gaussian_state
from lpips_repro.metrics.lpips.quick_layers import replace_layers
from lpips_repro.metrics.lpips.short_convolution import MIN_IMAGES, ShortConv2d, convolve_3x3


def drawn(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


def convolution(inputs, outputs, dtype=torch.float64):
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, dtype=dtype).requires_grad_(False)
    layer.weight.copy_(drawn(*layer.weight.shape))
    layer.bias.copy_(drawn(outputs))
    return layer


def by_sums(layer, x):
    return convolve_3x3(x, layer.weight, layer.bias)


def by_matrices_and_groups(layer, x):
    return ShortConv2d(layer)(x)


WAYS = pytest.mark.parametrize("way", [by_sums, by_matrices_and_groups])


@WAYS
@pytest.mark.parametrize("channels", [(1, 1), (5, 7)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("images", [MIN_IMAGES - 1, MIN_IMAGES])
def test_values_are_those_of_torch(way, channels, bias, images):
    x, layer = drawn(images, channels[0], 3, 3), convolution(*channels)
    layer.bias = layer.bias if bias else None
    torch.testing.assert_close(way(layer, x), layer(x), rtol=1e-13, atol=1e-13)


@WAYS
def test_float32_rounds_little_more_than_the_direct_way(way):
    x, layer = drawn(MIN_IMAGES, 192, 3, 3), convolution(192, 384)
    exact = layer(x)
    x, layer = x.float(), layer.float()
    error = (way(layer, x) - exact).square().mean().sqrt()
    # Measured 2.3 times, of sums of 9 values.
    assert error < 4 * (layer(x) - exact).square().mean().sqrt()


@pytest.mark.parametrize(("net", "short"), [("alex", ["6", "8", "10"]), ("squeeze", [])])
def test_only_convolutions_that_it_pays_for_are_replaced(net, short):
    backbone = Backbone(net, gaussian_state(net, 0))
    replace_layers(backbone, ShortConv2d)
    assert [name for name, layer in backbone.features.named_children() if isinstance(layer, ShortConv2d)] == short


@pytest.mark.parametrize("side", [64, 96])  # maps of 3x3 and of 5x5
def test_a_network_gives_the_same_maps(side):
    direct, short = (Backbone("alex", gaussian_state("alex", 0)).double() for _ in range(2))
    replace_layers(short, ShortConv2d)
    images = drawn(MIN_IMAGES, 3, side, side)
    for found, wanted in zip(short(images), direct(images), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("setting", [{"stride": 2}, {"padding": 0}, {"groups": 2}, {"dilation": 2}])
def test_other_convolutions_stay_as_they_are(setting):
    network = nn.Sequential(nn.Conv2d(256, 256, **{"kernel_size": 3, "padding": 1, **setting}))
    replace_layers(network, ShortConv2d)
    assert type(network[0]) is nn.Conv2d


def test_a_convolution_of_another_kind_stays_as_it_is():
    class Standardized(nn.Conv2d):
        pass

    network = nn.Sequential(Standardized(256, 256, 3, padding=1), nn.Conv2d(256, 256, 3, padding=1))
    replace_layers(network, ShortConv2d)
    assert [type(layer) for layer in network] == [Standardized, ShortConv2d]


def test_an_exported_program_takes_any_number_of_images():
    layer = convolution(128, 4)
    program = torch.export.export(
        ShortConv2d(layer), (drawn(6, 128, 3, 3),), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    x = drawn(MIN_IMAGES + 1, 128, 3, 3)
    torch.testing.assert_close(program.module()(x), layer(x))
