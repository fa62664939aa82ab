import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lpips_repro.backbones import Backbone, gaussian_state
from lpips_repro.errors import UserError
from lpips_repro.pretraining.kmeans import check_row, draw_patches, kmeans_filters, stack_kmeans


def rng():
    return np.random.default_rng(0)


def test_filters_of_clear_clusters_are_those_worked_by_hand():
    # Six kinds of patches, each along an axis of its own. Whitened they are the corners of a regular simplex: from its
    # middle, a corner's product with another is -1/5 of that with itself.
    scales = np.diag([1.0, 2.0, 3.0, 5.0, 8.0, 13.0])
    patches = np.repeat(scales, 50, axis=0)
    filters = kmeans_filters(patches, 6, rng())
    responses = filters @ (scales - scales.mean(axis=0)).T
    responses /= responses.max(axis=1, keepdims=True)
    own = responses.argmax(axis=1)
    assert sorted(own) == list(range(6))
    np.testing.assert_allclose(responses, np.where(np.arange(6) == own[:, None], 1, -1 / 5), atol=1e-6)


def test_filters_ignore_contrast():
    patches = rng().standard_normal((500, 20))
    scaled = 7 * patches + 3  # of all patches
    np.testing.assert_allclose(
        *(f / np.linalg.norm(f, axis=1, keepdims=True) for f in map(filters_of, (patches, scaled))), atol=1e-6
    )


def filters_of(patches):
    return kmeans_filters(patches, 8, rng())


# What changes where a convolution looks.
LOOKS = {
    "plain": {"stride": (2, 1), "padding": (1, 2)},
    "groups": {"stride": (2, 1), "padding": (1, 2), "groups": 2},
    "dilation": {"padding": 2, "dilation": (3, 2)},
    "dilation and stride": {"stride": 2, "dilation": 2},
    "padding=same": {"padding": "same", "dilation": (2, 1)},
    "padding=same, even": {"kernel_size": (4, 2), "padding": "same"},
    "padding=valid": {"padding": "valid"},
    "padding_mode=reflect": {"padding": (1, 2), "padding_mode": "reflect"},
    "padding_mode=circular": {"padding": "same", "padding_mode": "circular"},
}


@pytest.mark.parametrize("look", LOOKS)
def test_patches_are_what_the_convolution_sees(look):
    layer = nn.Conv2d(4, 6, **{"kernel_size": (3, 5), **LOOKS[look]}, bias=False)
    groups, inputs = layer.groups, torch.randn(3, 4, 11, 9)
    patches = draw_patches(layer, inputs, 10**6, rng()).chunk(groups, dim=1)
    found = [torch.einsum("ncij,ocij->on", p, w) for p, w in zip(patches, layer.weight.chunk(groups), strict=True)]
    torch.testing.assert_close(torch.cat(found), layer(inputs).transpose(0, 1).flatten(1))


def test_of_many_patches_as_many_as_asked_for_are_drawn_once_each():
    inputs = torch.arange(200.0).view(2, 1, 10, 10)
    drawn = draw_patches(nn.Conv2d(1, 1, 1), inputs, 50, rng()).flatten().tolist()
    assert len(set(drawn)) == 50
    assert min(drawn) < 100 < max(drawn)  # of both images


def small_row():
    """Everything a row may have, in a small one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Conv2d(4, 8, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.LocalResponseNorm(5),
            nn.Conv2d(8, 8, 3, padding=1, groups=2),
            nn.ReLU(inplace=True),
        )
    return layers.requires_grad_(False)


def images(seed, count=20, channels=4):
    return torch.randn(count, channels, 24, 24, generator=torch.Generator().manual_seed(seed))


def before_relu(layers, x):
    """What each convolution gives."""
    for layer in layers:
        x = layer(x.clone())
        if isinstance(layer, nn.Conv2d):
            yield x


def test_each_channel_has_variance_1_and_the_same_small_mean_before_relu():
    layers, others = small_row(), images(1)
    found = list(stack_kmeans(layers, images(0), others, 1000, 0))
    assert found == [{"filters": 8, "patches": 1000}, {"filters": 8, "patches": 20 * 5 * 5}]  # all there are
    for outputs in before_relu(layers, others):
        torch.testing.assert_close(outputs.std(dim=(0, 2, 3)), torch.ones(8))
        torch.testing.assert_close(outputs.mean(dim=(0, 2, 3)), torch.full((8,), 0.1))


@pytest.mark.parametrize("look", LOOKS)
def test_channels_are_normalized_of_every_kind_of_convolution_also_without_bias(look):
    settings = {"kernel_size": (3, 5), **LOOKS[look], "bias": False}
    layers, others = nn.Sequential(nn.Conv2d(4, 8, **settings)).requires_grad_(False), images(1)
    list(stack_kmeans(layers, images(0), others, 500, 0))
    (outputs,) = before_relu(layers, others)
    torch.testing.assert_close(outputs.std(dim=(0, 2, 3)), torch.ones(8))


def test_filters_of_a_group_come_from_its_own_channels():
    def second(x):
        layers = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2)).requires_grad_(False)
        list(stack_kmeans(layers, x, x, 500, 0))
        return layers[0].weight

    one = images(0)
    other = torch.cat((one[:, :2], images(2)[:, 2:]), dim=1)
    assert torch.equal(second(one)[:4], second(other)[:4])
    assert not torch.allclose(second(one)[4:], second(other)[4:])


def test_filters_are_those_of_the_seed():
    def weights(seed):
        layers = small_row()
        list(stack_kmeans(layers, images(0), images(1), 200, seed))
        return layers.state_dict()

    assert all(torch.equal(value, weights(3)[key]) for key, value in weights(3).items())
    assert not torch.equal(weights(3)["0.weight"], weights(4)["0.weight"])


def test_filters_respond_to_what_their_cluster_shows():
    # Of images with a bright bar at one of three places the filters find all three.
    x = 0.01 * images(0, count=30, channels=1)[:, :, :6, :6]
    for number, image in enumerate(x):
        image[0, :, 2 * (number % 3) : 2 * (number % 3) + 2] += 1
    layers = nn.Sequential(nn.Conv2d(1, 3, 6)).requires_grad_(False)
    list(stack_kmeans(layers, x, x, 1000, 0))
    best = F.conv2d(x, layers[0].weight, layers[0].bias).flatten(1).argmax(dim=1).view(10, 3)
    assert sorted(best[0].tolist()) == [0, 1, 2]
    assert (best == best[0]).all()


@pytest.mark.parametrize(
    ("net", "found"),
    [("squeeze", "Fire"), ("caffenet-bn", "BatchNorm2d"), ("caffenet-split", "BatchNorm2d, GreyAndChroma")],
)
def test_a_network_of_other_layers_is_refused(net, found):
    with pytest.raises(UserError, match=f"backbone={net}: has {found}: k-means needs Conv2d, ReLU, MaxPool2d"):
        check_row(net, Backbone(net).features)


def test_a_module_that_is_no_row_is_refused():
    with pytest.raises(UserError, match="backbone=mine: has Module: k-means needs"):
        check_row("mine", nn.Module())


@pytest.mark.parametrize("net", ["caffenet", "alex", "vgg"])
def test_networks_in_a_row_are_taken(net):
    with torch.device("meta"):
        check_row(net, Backbone(net).features)


def test_too_few_patches_are_refused():
    layers = Backbone("caffenet", gaussian_state("caffenet", 0)).features.requires_grad_(False)
    with pytest.raises(UserError, match="81 patches for the 96 filters of conv1: give more crops"):
        list(stack_kmeans(layers, torch.randn(1, 3, 43, 43), torch.randn(1, 3, 43, 43), 1000, 0))


def test_too_small_a_number_of_patches_is_named():
    with pytest.raises(UserError, match="7 patches for the 8 filters of conv1: patches=7 is too few"):
        list(stack_kmeans(small_row(), images(0), images(1), 7, 0))


def test_photographs_without_content_are_refused():
    plain = torch.ones(10, 4, 24, 24)
    with pytest.raises(UserError, match="all patches are equal: give photographs"):
        list(stack_kmeans(small_row(), plain, plain, 1000, 0))
    with pytest.raises(UserError, match="a filter responds to nothing"):
        list(stack_kmeans(small_row(), images(0), plain, 1000, 0))


@pytest.mark.parametrize("normed", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_a_convolution_whose_weight_is_computed_is_refused(normed):
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), normed(nn.Conv2d(4, 6, 3)))
    with pytest.raises(UserError, match="backbone=mine: the weight of layer 2 is computed"):
        check_row("mine", layers)
    check_row("mine", layers[:2])
