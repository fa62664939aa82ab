import pytest
import torch
from torch import nn

from lpips_repro.backbones import gaussian_state
from lpips_repro.errors import UserError
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.pretraining import rates_of_change as module
from lpips_repro.pretraining.init_kmeans import fill_backbone
from lpips_repro.pretraining.rates_of_change import equalise_rates, rates_of_change, relative
from tests.pretraining.leaves import dead_leaves
from tests.pretraining.test_kmeans import before_relu


def row(*layers):
    return nn.Sequential(*layers).requires_grad_(False)


def test_rates_are_those_worked_by_hand():
    # Of one image x, y = W2 W1 x at each place: dl/dW2 = eta (W1 x)', dl/dW1 = W2' eta x', summed over places; the
    # squares are expected to be 2 sum |W1 x|^2 and |W2|^2 sum |x|^2.
    layers = row(nn.Conv2d(3, 4, 1, bias=False), nn.Conv2d(4, 2, 1, bias=False))
    image = torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    first, second = layers[0].weight, layers[1].weight
    hidden = layers[0](image)
    expected = torch.stack(
        [
            second.square().sum() * image.square().sum() / first.square().sum(),
            2 * hidden.square().sum() / second.square().sum(),
        ]
    )
    found = rates_of_change(layers, image.expand(4000, -1, -1, -1), seed=0)
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0)  # the mean of 8000 losses
    assert not any(weight.requires_grad for weight in (first, second))


def test_rates_are_relative_to_their_geometric_mean():
    torch.testing.assert_close(relative(torch.tensor([1.0, 4.0, 16.0])), torch.tensor([0.25, 1.0, 4.0]))


def images(seed):
    return torch.randn(32, 3, 20, 20, generator=torch.Generator().manual_seed(seed))


def homogeneous_row(**settings):
    return row(
        nn.Conv2d(3, 8, 5, **settings),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, **settings),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, **settings),
        nn.ReLU(),
    )


@pytest.mark.parametrize("settings", [{}, {"bias": False}])
def test_scaling_layers_of_a_relu_network_does_not_change_what_it_computes(settings):
    layers, x = homogeneous_row(**settings), images(0)
    module.renormalise(layers, x, torch.ones(3))
    wanted = layers(images(1))
    before, after = list(equalise_rates(layers, x, 0))  # one round is enough
    assert (before - 1).abs().max() > 0.3
    assert (after - 1).abs().max() < 1e-3
    torch.testing.assert_close(layers(images(1)), wanted, rtol=1e-3, atol=1e-4)


def test_rates_that_do_not_come_together_are_an_error(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROUNDS", 1)
    with pytest.raises(UserError, match=r"rates of change differ after 1 rounds: .*: give more crops"):
        list(equalise_rates(homogeneous_row(), images(0), 0))


@pytest.fixture(scope="module")
def filled():
    """A CaffeNet from k-means, with the record of how it was made, and the images that normalized it."""
    metric = LPIPS("caffenet", "off_the_shelf", weights=gaussian_state("caffenet", 0))
    crops = dead_leaves(160, 96, seed=0)
    record = fill_backbone(metric, crops, patches=2000, seed=0)
    return metric, record


@pytest.fixture(scope="module")
def held_out(filled):
    """Other images, as the network takes them."""
    metric, _ = filled
    crops = torch.from_numpy(dead_leaves(160, 96, seed=1))
    return metric.preprocess((crops.permute(0, 3, 1, 2) / 127.5 - 1,))


def test_rates_are_equal_on_images_never_seen(filled, held_out):
    metric, record = filled
    assert max(record["rates_before"]) > 100 * min(record["rates_before"])
    found = relative(rates_of_change(metric.backbone.features, held_out, seed=7))
    assert (found - 1).abs().max() < 0.1, found


def test_the_channels_of_a_layer_are_alike_on_images_never_seen(filled, held_out):
    metric, _ = filled
    for outputs in before_relu(metric.backbone.features, held_out):
        deviations = outputs.std(dim=(0, 2, 3))
        assert deviations.std() < 0.1 * deviations.mean()
    assert deviations.mean().item() == pytest.approx(1, abs=0.05)  # the last layer's scale is kept
