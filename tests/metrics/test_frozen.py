"""The metric as a part of somebody else's model: what the parent does to its modules does not change it."""

import copy
import warnings

import pytest
import torch
from torch import nn

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.training.model import RankingModel
from tests.metrics.test_lpips import WEIGHTS, images, random_lin, released_metric

# One of every kind with layers that work otherwise in training: batch normalization, dropout, stochastic depth.
MOODY = [
    *("caffenet-bn", "caffenet-split", "resnet18", "efficientnet_b0", "timm/test_resnet", "timm/test_efficientnet"),
    *(pytest.param(net, marks=pytest.mark.slow) for net in ("convnext_tiny", "swin_t")),
]


class Parent(nn.Module):
    """A user's network with the metric in its loss."""

    def __init__(self, metric: nn.Module):
        super().__init__()
        self.net = nn.Conv2d(3, 3, 1)
        self.metric = metric


def alex(**settings) -> LPIPS:
    return LPIPS("alex", weights=WEIGHTS["alex"], lin_weights=random_lin("alex"), **settings)


@pytest.mark.parametrize("net", MOODY)
def test_a_parents_train_changes_neither_distance_nor_buffers(net):
    metric = LPIPS(net, "off_the_shelf", weights=gaussian_state(net, 0))
    parent = Parent(metric)
    x, y, _ = images(2, 3, 32, 32)
    before, buffers = metric(x, y), {key: value.clone() for key, value in metric.named_buffers()}
    parent.train()
    assert torch.equal(metric(x, y), before)
    parent.apply(lambda module: setattr(module, "training", True))  # around train()
    assert torch.equal(metric(x, y), before)
    parent.eval()
    assert torch.equal(metric(x, y), before)
    for key, value in metric.named_buffers():
        assert torch.equal(value, buffers[key]), key


def test_what_is_made_from_it_stays_in_eval_mode_too():
    net = "resnet18"
    metric = LPIPS(net, "off_the_shelf", weights=gaussian_state(net, 0))
    ranking = RankingModel(net, "tune", "0.1", gaussian_state(net, 0))
    made = [metric.optimized(compiled=False), copy.deepcopy(metric), ranking.metric, ranking.trained_metric()]
    made.append(LPIPS.from_official(net, "0.1", metric.official_state_dict()))
    Parent(nn.ModuleList([*made, ranking])).train()
    assert ranking.training  # it is the model that learns; its backbone stays
    for module in made:
        assert not any(part.training for part in module.modules())


def test_adam_on_all_of_a_parents_parameters_gives_no_negative_distance():
    metric = alex()
    parent = Parent(metric).requires_grad_(True)
    x, y, _ = images(1, 3, 32, 32)
    optimizer = torch.optim.Adam(parent.parameters(), lr=0.1)
    for _ in range(12):
        optimizer.zero_grad()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            metric(parent.net(x).tanh(), y).sum().backward()
        optimizer.step()
    assert any((weight < 0).any() for weight in metric.lin)
    with torch.no_grad():
        assert (metric(x, y) >= 0).all()
        clamped = copy.deepcopy(metric)
        for weight in clamped.lin:
            weight.clamp_(min=0)
        assert torch.equal(clamped(x, y), metric(x, y))
        # What is written for the released package is what the distances are made of.
        back = LPIPS.from_official("alex", "0.1", metric.official_state_dict())
        torch.testing.assert_close(back(x, y), metric(x, y))


def test_a_parameter_that_requires_a_gradient_is_warned_of_once_with_the_remedy():
    metric = alex()
    x, y, _ = images(2, 3, 64, 64)
    Parent(metric).requires_grad_(True)
    with pytest.warns(UserWarning, match=r"metric\.requires_grad_\(False\)") as found:
        metric(x, y)
        metric.triplet(x, y, y)
    assert len(found) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alex()(x, y)


def test_persistent_false_keeps_it_out_of_a_parents_state():
    parent = Parent(alex(persistent=False))
    assert set(parent.state_dict()) == {"net.weight", "net.bias"}
    x, y, _ = images(2, 3, 64, 64)
    before = parent.metric(x, y)
    parent.load_state_dict(parent.state_dict())
    assert torch.equal(parent.metric(x, y), before)
    assert set(parent.metric.state_dict()) == set(alex().state_dict())
    # An older checkpoint, with the metric in it, is taken too.
    other = Parent(LPIPS("alex", weights=gaussian_state("alex", 3), lin_weights=random_lin("alex")))
    parent.load_state_dict(other.state_dict())
    assert torch.equal(parent.metric(x, y), other.metric(x, y))
    assert set(Parent(alex()).state_dict()) > {"metric.lin.0", "metric.backbone.features.0.weight"}


def test_lin_weights_have_the_released_gradient_at_zero():
    lin = {key: value * (value > 0.5) for key, value in random_lin("alex").items()}
    metric = LPIPS("alex", weights=WEIGHTS["alex"], lin_weights=lin)
    theirs = released_metric(metric).requires_grad_(True)
    x, y, _ = images(1, 3, 64, 64)
    metric.requires_grad_(True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric(x, y).sum().backward()
    theirs.zero_grad()
    theirs(x, y).sum().backward()
    for layer, weight in enumerate(metric.lin):
        wanted = getattr(theirs, f"lin{layer}").model[1].weight.grad.flatten()
        torch.testing.assert_close(weight.grad, wanted, atol=1e-6, rtol=1e-4)
    theirs.requires_grad_(False)


def test_an_evaluator_is_no_part_of_a_parents_state():
    parent = Parent(alex().optimized(compiled=False))
    assert set(parent.state_dict()) == {"net.weight", "net.bias"}
    parent.load_state_dict(parent.state_dict())
