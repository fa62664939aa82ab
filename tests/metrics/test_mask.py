"""Distances by layer, and weights of places."""

import pytest
import torch
import torch.nn.functional as F

from tests.metrics.test_embedded import metric_of
from tests.metrics.test_lpips import images, released_metric

CLOSE = {"atol": 1e-6, "rtol": 1e-5}


@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_layers_are_those_of_the_released_package_and_sum_to_the_distance(net, spatial):
    metric = metric_of(net, spatial=spatial)
    x, y, z = images(3, 3, 64, 64)
    layers = metric(x, y, per_layer=True)
    _, theirs = released_metric(metric)(x, y, retPerLayer=True)
    for ours, wanted in zip(layers, theirs, strict=True):
        torch.testing.assert_close(ours, wanted.view_as(ours), **CLOSE)
    torch.testing.assert_close(layers.sum(0), metric(x, y), **CLOSE)
    d0, d1 = metric.triplet(x, y, z, per_layer=True)
    torch.testing.assert_close(d0, layers, **CLOSE)
    torch.testing.assert_close(d1.sum(0), metric(x, z), **CLOSE)


def test_layers_of_a_batch_in_blocks(monkeypatch):
    metric = metric_of("squeeze")
    x, y, _ = images(5, 3, 64, 64)
    mask = torch.rand(5, 1, 64, 64)
    whole = metric(x, y, per_layer=True, mask=mask)
    assert whole.shape == (7, 5)
    monkeypatch.setattr("lpips_repro.metrics.lpips.core.CPU_BLOCK_BYTES", (1e6, 1e6))
    assert metric.at_once(x, 2) < 3
    torch.testing.assert_close(metric(x, y, per_layer=True, mask=mask), whole, **CLOSE)


@pytest.mark.parametrize("net", ["alex", "squeeze", "timm/test_vit"])
def test_a_mask_of_equal_weights_changes_nothing(net):
    metric = metric_of(net)
    x, y, z = images(2, 3, 64, 64)
    for weight in (1.0, 0.25):
        mask = torch.full((2, 1, 64, 64), weight)
        torch.testing.assert_close(metric(x, y, mask=mask), metric(x, y), **CLOSE)
        for ours, wanted in zip(metric.triplet(x, y, z, mask=mask), metric.triplet(x, y, z), strict=True):
            torch.testing.assert_close(ours, wanted, **CLOSE)


def test_a_mask_is_the_weighted_mean_over_places_of_every_layer():
    metric = metric_of("alex")
    x, y, _ = images(2, 3, 64, 64)
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(2, 1, 64, 64, generator=generator)
    expected = 0
    for maps, lin in zip(metric.backbone(metric.preprocess((x, y))), metric.lin, strict=True):
        f, g = (maps / (maps.norm(dim=1, keepdim=True) + 1e-10)).chunk(2)
        by_place = ((f - g).square() * lin.view(1, -1, 1, 1)).sum(1, keepdim=True)
        weights = F.adaptive_avg_pool2d(mask, by_place.shape[2:])
        expected = expected + (by_place * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))
    torch.testing.assert_close(metric(x, y, mask=mask), expected, **CLOSE)


def test_a_mask_chooses_where_images_are_compared():
    metric = metric_of("alex")
    x, _, noise = images(1, 3, 96, 96)
    y = x.clone()
    y[..., 48:] = noise[..., 48:]
    left, right = torch.zeros(2, 1, 1, 96, 96)
    left[..., :24], right[..., 72:] = 1, 1
    near, whole, far = (metric(x, y, mask=left), metric(x, y), metric(x, y, mask=right))
    assert near < whole / 4 < whole < far
    assert near > 0  # receptive fields reach across
    assert torch.equal(metric(x, y, mask=right.bool()), far)


@pytest.mark.parametrize("weight", [1e38, 1e-44, 1e-60, 1e60])
def test_the_scale_of_a_mask_does_not_count(weight):
    x, y, _ = images(2, 3, 64, 64)
    dtype = torch.float32 if 1e-45 < weight < 1e39 else torch.float64
    mask = torch.zeros(2, 1, 64, 64, dtype=dtype)
    mask[..., 3:20, 3] = 1
    metric = metric_of()
    torch.testing.assert_close(metric(x, y, mask=mask * weight), metric(x, y, mask=mask), **CLOSE)


def test_one_mask_is_used_for_all_images():
    x, y, _ = images(3, 3, 64, 64)
    mask = torch.rand(1, 1, 64, 64)
    metric = metric_of()
    torch.testing.assert_close(metric(x, y, mask=mask), metric(x, y, mask=mask.expand(3, -1, -1, -1)), **CLOSE)


def test_an_evaluator_refuses_layers_and_masks_in_words():
    x, y, z = images(1, 3, 64, 64)
    evaluator = metric_of().optimized(compiled=False)
    with pytest.raises(TypeError, match="'per_layer': an optimized evaluator returns distances only"):
        evaluator(x, y, per_layer=True)
    with pytest.raises(TypeError, match="'mask': an optimized evaluator returns distances only"):
        evaluator.triplet(x, y, z, mask=torch.ones(1, 1, 64, 64))


def test_gradients_stay_finite_under_a_mask():
    x, y, _ = images(1, 3, 64, 64)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 5, 9] = 1
    x.requires_grad_()
    metric_of()(x, y, mask=mask).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(2, 3, 64, 64), r"mask is \(2, 3, 64, 64\): expected a tensor of shape \(2, 1, 64, 64\)"),
        (torch.ones(2, 1, 32, 64), r"expected a tensor of shape \(2, 1, 64, 64\)"),
        (torch.ones(3, 1, 64, 64), r"expected a tensor of shape \(2, 1, 64, 64\)"),
        ("left", "mask is str"),
        (torch.ones(2, 1, 64, 64, dtype=torch.uint8), "expected a floating point or bool tensor"),
        (torch.full((2, 1, 64, 64), -1.0), r"\[-1, -1\]: expected finite weights of at least 0"),
        (torch.full((2, 1, 64, 64), float("nan")), "expected finite weights"),
        (torch.full((2, 1, 64, 64), float("inf")), "expected finite weights"),
        (torch.eye(2)[0].view(2, 1, 1, 1).expand(2, 1, 64, 64), "mask is 0 everywhere in an image"),
    ],
)
def test_a_wrong_mask_is_refused(mask, message):
    x, y, _ = images(2, 3, 64, 64)
    with pytest.raises(ValueError, match=message):
        metric_of()(x, y, mask=mask)
    with pytest.raises(ValueError, match="multiply the map by the mask"):
        metric_of(spatial=True)(x, y, mask=torch.ones(2, 1, 64, 64))
