import itertools
import warnings

import lpips as released
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from torch import Tensor

from lpips_repro import LPIPS
from lpips_repro.backbones import BACKBONES, gaussian_state
from tests.released import empty_released_metric
from tests.slow import slow_but

NETS = ("alex", "vgg", "squeeze")
VARIANTS = ("off_the_shelf", "lin")
VERSIONS = ("0.0", "0.1")
WEIGHTS = {net: gaussian_state(net, seed=1) for net in NETS}


def images(*shape: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, generator=generator) * 2 - 1 for _ in range(3)]


def released_metric(ours: LPIPS) -> released.LPIPS:
    metric = empty_released_metric(ours.backbone.name, ours.version, ours.variant == "lin")
    metric.load_state_dict(ours.official_state_dict(), strict=True)
    metric.spatial = ours.spatial
    return metric


def assert_equal_to_released(ours: LPIPS, x: Tensor, y: Tensor) -> None:
    # float32 sums in another order: 1e-6 absolute or 1e-5 relative.
    theirs = released_metric(ours)(x, y)
    found = ours(x, y)
    assert found.shape == (theirs.shape if ours.spatial else theirs.shape[:1])
    torch.testing.assert_close(found, theirs.view_as(found), atol=1e-6, rtol=1e-5)


RANDOM = list(itertools.product(NETS, VARIANTS, VERSIONS, [(64, 64), (63, 81), (224, 224)], [False, True]))
# Every net, variant and version at two sizes, of which one is odd, and the large one where it takes no second.
OFTEN = [case for case in RANDOM if case[3:] in (((64, 64), False), ((63, 81), True))]
OFTEN += [case for case in RANDOM if case[0] != "vgg" and case[1:4] == ("lin", "0.1", (224, 224))]


@pytest.mark.parametrize(("net", "variant", "version", "size", "spatial"), slow_but(OFTEN, RANDOM))
def test_equals_the_released_package_on_random_images(net, variant, version, size, spatial):
    x, y, _ = images(2, 3, *size)
    assert_equal_to_released(LPIPS(net, variant, version, weights=WEIGHTS[net], spatial=spatial), x, y)


@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_equals_the_released_package_with_imagenet_weights_on_photographs(net, variant, version, spatial, imagenet):
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None] / 127.5 - 1
    x, y = photo[..., 60:156, 180:276], photo[..., 64:160, 182:278]  # a face
    assert_equal_to_released(LPIPS(net, variant, version, spatial=spatial), x, y)


# Measured with the released code on shared/examples, six decimals.
GOLDEN = {
    ("alex", "lin", "0.1"): 0.721881,
    ("squeeze", "lin", "0.1"): 0.711048,
    ("alex", "off_the_shelf", "0.1"): 4.826556,
    ("squeeze", "off_the_shelf", "0.1"): 6.040976,
    ("alex", "lin", "0.0"): 0.405575,
    ("squeeze", "lin", "0.0"): 0.396770,
}


@pytest.mark.parametrize("method", GOLDEN, ids="-".join)
def test_golden_value_of_the_authors_example_pair(method, shared, monkeypatch):
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(shared / "weights"))
    ref, p0 = (
        torch.from_numpy(np.array(Image.open(shared / "examples" / name))).permute(2, 0, 1)[None] / 127.5 - 1
        for name in ("ex_ref.png", "ex_p0.png")
    )
    assert LPIPS(*method)(ref, p0).item() == pytest.approx(GOLDEN[method], abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("net", NETS)
def test_triplet_gives_the_two_distances(net):
    metric = LPIPS(net, "lin", weights=WEIGHTS[net])
    ref, p0, p1 = images(4, 3, 64, 64)
    d0, d1 = metric.triplet(ref, p0, p1)
    torch.testing.assert_close(d0, metric(ref, p0), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(d1, metric(ref, p1), atol=1e-6, rtol=1e-5)


def test_reference_runs_through_the_backbone_once():
    metric = LPIPS("alex", "lin", weights=WEIGHTS["alex"])
    seen = []
    metric.backbone.features[0].register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    metric.triplet(*images(5, 3, 64, 64))
    assert seen == [15]


@pytest.mark.parametrize("net", NETS)
def test_distance_of_identical_images_is_zero_with_finite_gradients(net):
    metric = LPIPS(net, "lin", weights=WEIGHTS[net])
    x = images(2, 3, 64, 64)[0].requires_grad_()
    distance = metric(x, x.detach())
    distance.sum().backward()
    assert distance.abs().max() <= 1e-12
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("net", NETS)
def test_gradients_are_finite_where_all_features_vanish(net, variant):
    # Version 0.0 of a black-biased image: with zero biases every feature vector of an all-zero image is zero.
    metric = LPIPS(net, variant, "0.0", weights=WEIGHTS[net])
    x = torch.zeros(1, 3, 64, 64, requires_grad=True)
    metric(x, images(1, 3, 64, 64)[0]).sum().backward()
    assert x.grad.isfinite().all()


def test_is_symmetric_and_independent_of_the_batch():
    metric = LPIPS("alex", "lin", weights=WEIGHTS["alex"]).double()
    x, y, _ = (image.double() for image in images(4, 3, 64, 64))
    batch = metric(x, y)
    torch.testing.assert_close(batch, metric(y, x), atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(batch, torch.cat([metric(a[None], b[None]) for a, b in zip(x, y, strict=True)]))


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(NETS), st.sampled_from(VARIANTS), st.sampled_from(VERSIONS), st.integers(0, 2**31), st.floats(0, 1)
)
def test_is_a_distance(net, variant, version, seed, share):
    metric = LPIPS(net, variant, version, weights=WEIGHTS[net])
    x, noise, _ = images(3, 3, 32, 40, seed=seed)
    y = (1 - share) * x + share * noise
    distance = metric(x, y)
    assert (distance >= 0).all()
    assert metric(x, x).abs().max() == 0
    torch.testing.assert_close(metric(y, x), distance, atol=1e-6, rtol=1e-5)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(metric(x[order], y[order]), distance[order], atol=1e-6, rtol=1e-5)


def test_normalize_takes_images_in_0_1():
    metric = LPIPS("alex", "lin", weights=WEIGHTS["alex"])
    x, y, _ = images(2, 3, 64, 64)
    torch.testing.assert_close(metric((x + 1) / 2, (y + 1) / 2, normalize=True), metric(x, y), atol=1e-6, rtol=1e-5)


def test_is_frozen_and_in_eval_mode_and_unchanged_by_train_mode():
    metric = LPIPS("alex", "lin", weights=WEIGHTS["alex"])
    x, y, _ = images(2, 3, 64, 64)
    assert not metric.training
    assert not any(parameter.requires_grad for parameter in metric.parameters())
    before = metric(x, y)
    assert torch.equal(metric.train()(x, y), before)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_the_released_package_on_photographs(net, variant):
    photo = torch.from_numpy(data.coffee()).permute(2, 0, 1)[None] / 127.5 - 1
    assert_equal_to_released(LPIPS(net, variant, weights=WEIGHTS[net]), photo[..., :96, :96], photo[..., 3:99, 2:98])


def random_lin(net: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    channels = BACKBONES[net].channels
    return {f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1, generator=generator) for k, c in enumerate(channels)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("variant", ["tune", "scratch"])
@pytest.mark.parametrize("net", NETS)
def test_a_trained_variant_equals_the_released_package_with_its_weights(net, variant, version):
    ours = LPIPS(net, variant, version, weights=WEIGHTS[net], lin_weights=random_lin(net))
    theirs = empty_released_metric(net, version, lin=True)
    theirs.load_state_dict(ours.official_state_dict(), strict=True)
    theirs.spatial = False
    x, y, _ = images(2, 3, 64, 64)
    torch.testing.assert_close(ours(x, y), theirs(x, y).flatten(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("variant", ["lin", "tune", "scratch"])
def test_a_trained_variant_comes_back_from_its_released_state_dict(variant):
    metric = LPIPS("squeeze", variant, "0.0", weights=WEIGHTS["squeeze"], lin_weights=random_lin("squeeze"))
    back = LPIPS.from_official("squeeze", "0.0", metric.official_state_dict(), variant)
    assert (back.variant, back.version) == (variant, "0.0")
    x, y, _ = images(2, 3, 64, 64)
    assert torch.equal(back(x, y), metric(x, y))


@pytest.mark.parametrize("variant", ["lin", "tune", "scratch"])
def test_a_released_state_dict_without_lin_weights_is_no_trained_variant(variant):
    state = LPIPS("alex", "off_the_shelf", weights=WEIGHTS["alex"]).official_state_dict()
    with pytest.raises(ValueError, match=r"no entry 'lin0\.model\.1\.weight'"):
        LPIPS.from_official("alex", "0.1", state, variant)


def test_a_released_state_dict_with_lin_weights_is_not_off_the_shelf():
    state = LPIPS("alex", "lin", weights=WEIGHTS["alex"]).official_state_dict()
    with pytest.raises(ValueError, match="only the other variants have them"):
        LPIPS.from_official("alex", "0.1", state, "off_the_shelf")


@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.cuda
def test_cuda_agrees_with_cpu(spatial):
    torch.backends.cudnn.allow_tf32 = False
    metric = LPIPS("squeeze", "lin", weights=WEIGHTS["squeeze"], spatial=spatial)
    x, y, _ = images(2, 3, 64, 64)
    on_cpu = metric(x, y)
    torch.testing.assert_close(metric.cuda()(x.cuda(), y.cuda()).cpu(), on_cpu, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 32), "same shape"),
        (torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64), r"\(1, 1, 64, 64\): expected \(N, 3, H, W\)"),
        (torch.zeros(3, 64, 64), torch.zeros(3, 64, 64), r"expected \(N, 3, H, W\)"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.zeros(1, 3, 64, 64), "uint8"),
        (torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64).double(), "expected one dtype"),
        (torch.zeros(1, 3, 64, 64).double(), torch.zeros(1, 3, 64, 64).double(), "the metric is torch.float32"),
        (torch.full((1, 3, 64, 64), 255.0), torch.zeros(1, 3, 64, 64), r"\[255, 255\]: expected \[-1, 1\]"),
        (torch.full((1, 3, 64, 64), float("nan")), torch.zeros(1, 3, 64, 64), "nan"),
        (torch.zeros(1, 3, 16, 64), torch.zeros(1, 3, 16, 64), "16 x 64: expected sides of at least 31"),
        (np.zeros((1, 3, 64, 64), np.float32), torch.zeros(1, 3, 64, 64), "ndarray: expected a torch.Tensor"),
        (torch.zeros(0, 3, 64, 64), torch.zeros(0, 3, 64, 64), "at least one image"),
    ],
)
def test_wrong_input_is_refused_with_what_came_and_what_is_wanted(x, y, message):
    metric = LPIPS("alex", "lin", weights=WEIGHTS["alex"])
    with pytest.raises(ValueError, match=message):
        metric(x, y)
    if isinstance(x, Tensor) and x.shape == y.shape:
        with pytest.raises(ValueError, match=message):
            metric.triplet(y if x.dtype == y.dtype else x, x, y)


def test_negative_values_are_refused_with_normalize():
    metric = LPIPS("alex", "lin", weights=WEIGHTS["alex"])
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        metric(*images(1, 3, 64, 64)[:2], normalize=True)


@pytest.mark.parametrize("net", NETS)
def test_smallest_size_is_accepted_and_one_less_refused(net):
    metric = LPIPS(net, "off_the_shelf", weights=WEIGHTS[net])
    size = BACKBONES[net].min_size
    assert metric(*images(1, 3, size, size)[:2]).isfinite().all()
    with pytest.raises(ValueError, match=f"expected sides of at least {size}"):
        metric(*images(1, 3, size, size - 1)[:2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"net": "resnet"}, "'resnet': expected one of alex, caffenet, .*squeeze, .*vgg"),
        ({"variant": "linear"}, "'linear': expected one of off_the_shelf, lin"),
        ({"version": "0.2"}, "'0.2': expected one of 0.0, 0.1"),
        ({"variant": "off_the_shelf", "lin_weights": {}}, "only the other variants have them"),
        ({"variant": "tune"}, "variant 'tune' needs weights and lin_weights: none are published"),
        ({"variant": "scratch"}, "variant 'scratch' needs weights and lin_weights: none are published"),
        ({"variant": "tune", "lin_weights": {}}, "'tune' needs weights and lin_weights|no entry 'lin0.model.1.weight'"),
    ],
)
@pytest.mark.parametrize("weights", [None, WEIGHTS["alex"]])
def test_unknown_settings_are_refused_with_the_allowed_ones(settings, message, weights):
    with pytest.raises(ValueError, match=message):
        LPIPS(weights=weights, **settings)


def test_builds_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LPIPS("squeeze", "lin", weights=WEIGHTS["squeeze"])


def test_distances_can_be_changed_in_place_by_those_who_train_with_them():
    metric = LPIPS("alex", weights=WEIGHTS["alex"])
    ref, p0, p1 = images(2, 3, 64, 64)
    p0.requires_grad_()
    distance, (d0, d1) = metric(ref, p0), metric.triplet(ref, p0, p1)
    distance *= 2
    d0 += d1
    (distance.sum() + d0.sum()).backward()
    assert p0.grad.isfinite().all()


@pytest.mark.parametrize("count", [1, 5, 7])
def test_a_batch_in_blocks_gives_what_it_gives_at_once(monkeypatch, count):
    metric = LPIPS("squeeze", weights=WEIGHTS["squeeze"])
    triplet = images(count, 3, 64, 64)
    whole = metric.triplet(*triplet)
    monkeypatch.setattr("lpips_repro.metrics.lpips.core.CPU_BLOCK_BYTES", (2.5e6, 2.5e6))  # room for three triplets
    assert metric.at_once(triplet[0], 3) == {1: 1, 5: 3, 7: 3}[count]
    for ours, theirs in zip(metric.triplet(*triplet), whole, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
