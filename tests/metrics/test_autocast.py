"""The metric under autocast: the backbone as autocast says, all else in float32."""

import pytest
import torch

from tests.metrics.test_embedded import metric_of, of_size
from tests.metrics.test_inputs import CLASSIC
from tests.metrics.test_lpips import images


@pytest.fixture(scope="module")
def metric():
    return metric_of()


@pytest.mark.parametrize(
    ("net", "spatial"),
    [("alex", True), ("alex", False), ("resnet18", False), ("caffenet-split", True), ("timm/test_vit", False)],
)
def test_autocast_takes_images_of_a_network_and_gives_float32(net, spatial):
    metric = metric_of(net, spatial=spatial)
    x, y = of_size(2)
    half = x.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = metric(half, y)
        pair = metric.triplet(half, y, half.detach())
    assert found.dtype == pair[0].dtype == pair[1].dtype == torch.float32
    # The backbone is in bfloat16, as autocast says; the rest is not.
    with torch.no_grad():
        backbone_alone = metric.optimized(torch.bfloat16, compiled=False)(half.float(), y)
    rough = {"atol": 2e-3 * float(found.detach().abs().max()), "rtol": 0.02}
    torch.testing.assert_close(found, metric(half.float(), y), **rough)
    torch.testing.assert_close(found, backbone_alone, **rough)
    assert not torch.equal(found, metric(half.float(), y))
    found.sum().backward()
    assert half.grad.isfinite().all() and half.grad.abs().max() > 0


def test_from_the_normalization_on_autocast_computes_as_without_it(monkeypatch):
    metric = metric_of("alex")
    x, y = of_size(2)
    maps = [m.bfloat16() for m in metric.backbone(metric.preprocess((x, y)))]
    monkeypatch.setattr(type(metric.backbone), "each_map", lambda self, images: iter(maps))
    wanted = metric(x, y)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(metric(x, y), wanted)


def test_without_autocast_another_dtype_is_refused(metric):
    x, y = of_size(2)
    with pytest.raises(ValueError, match=r"images are torch\.bfloat16 on cpu, the metric is torch\.float32"):
        metric(x.bfloat16(), y.bfloat16())
    with pytest.raises(ValueError, match="expected one dtype"):
        metric(x.bfloat16(), y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_evaluator_under_autocast_gives_what_it_gives_without(metric, dtype):
    evaluator = metric.optimized(dtype, compiled=False)
    x, y = of_size(2)
    wanted = evaluator(x, y)
    with torch.autocast("cpu", torch.bfloat16):
        found = evaluator(x, y)
        mixed = evaluator(x.bfloat16(), y)
    assert found.dtype == mixed.dtype == torch.float32
    assert torch.equal(found, wanted)
    torch.testing.assert_close(mixed, evaluator(x.bfloat16().float(), y))


@pytest.mark.parametrize("autocast", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_autocast_of_any_kind_takes_images_of_any_kind(autocast, dtype):
    x, y, _ = ((image + 1) / 2 for image in images(1, 3, 64, 64))
    metric = metric_of()
    with torch.autocast("cpu", autocast):
        for pair in ((x.to(dtype), y), (x.to(dtype), y.to(dtype)), (x, y.to(dtype))):
            assert metric(*pair, normalize=True).dtype == torch.float32
            assert metric.optimized(compiled=False)(*pair, normalize=True).dtype == torch.float32
            for classic in CLASSIC.values():
                assert classic(*pair).isfinite().all()
