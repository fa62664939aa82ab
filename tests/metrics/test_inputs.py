"""What metrics ask of the values of images, and of their channels."""

import warnings

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lpips_repro.metrics import dssim, fsim, fsimc, l2, psnr, ssim
from tests.metrics.test_embedded import metric_of
from tests.metrics.test_lpips import images

CLASSIC = {"l2": l2, "psnr": psnr, "ssim": ssim, "dssim": dssim, "fsim": fsim, "fsimc": fsimc}
GRAY = {
    "l2": l2,
    "l2-lab": lambda x, y: l2(x, y, colorspace="lab"),
    "psnr": psnr,
    "ssim": ssim,
    "ssim-lab": lambda x, y: ssim(x, y, colorspace="lab"),
    "ssim-gaussian": lambda x, y: ssim(x, y, window="gaussian"),
    "dssim": dssim,
    "fsim": fsim,
}


class Extremes(TorchDispatchMode):
    """Counts how often extremes of whole images are computed, which is what a check of values does."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.overloadpacket is torch.ops.aten.aminmax
        return function(*args, **(kwargs or {}))


@pytest.fixture
def reads(monkeypatch):
    """How often numbers are read from the device."""
    found = []

    def tolist(tensor, wanted=torch.Tensor.tolist):
        found.append(tensor)
        return wanted(tensor)

    def item(tensor, wanted=torch.Tensor.item):
        found.append(tensor)
        return wanted(tensor)

    monkeypatch.setattr(torch.Tensor, "tolist", tolist)
    monkeypatch.setattr(torch.Tensor, "item", item)
    return found


@pytest.mark.parametrize("spatial", [False, True])
def test_the_check_of_values_reads_the_device_once_and_each_image_once(reads, spatial):
    metric = metric_of(spatial=spatial)
    triplet = images(2, 3, 64, 64)
    with Extremes() as extremes:
        metric(*triplet[:2])
    assert (len(reads), extremes.count) == (1, 2)
    with Extremes() as extremes:
        metric.triplet(*triplet)
    assert (len(reads), extremes.count) == (2, 3)


def test_a_mask_is_checked_in_the_same_read(reads):
    x, y, _ = images(2, 3, 64, 64)
    metric_of()(x, y, mask=torch.ones(2, 1, 64, 64))
    assert len(reads) == 1


@pytest.mark.parametrize("name", CLASSIC)
def test_a_classic_metric_reads_the_device_once(name, reads):
    x, y, _ = ((image + 1) / 2 for image in images(2, 3, 64, 64))
    CLASSIC[name](x, y)
    assert len(reads) == 1
    wanted = CLASSIC[name](x, y)
    reads.clear()
    assert torch.equal(CLASSIC[name](x, y, validate=False), wanted)
    assert not reads


def test_validate_false_reads_nothing_and_takes_any_value(reads):
    metric = metric_of(validate=False)
    x, y, z = images(2, 3, 64, 64)
    metric(2 * x, y)
    metric.triplet(x, 2 * y, z)
    metric.optimized(compiled=False)(2 * x, y)
    assert not reads
    with pytest.raises(ValueError, match="same shape"):
        metric(x, y[..., :40])


@pytest.mark.parametrize("name", CLASSIC)
def test_the_message_names_both_remedies(name):
    x = torch.full((1, 3, 64, 64), 1.5)
    with pytest.raises(ValueError, match=r"in \[1\.5, 1\.5\]: expected \[0, 1\].*\.clamp\(0, 1\).*validate=False"):
        CLASSIC[name](x, x)
    with pytest.raises(ValueError, match=r"p1 image has values.*\.clamp\(-1, 1\).*validate=False"):
        metric_of().triplet(x / 2, x / 2, x)


@pytest.mark.parametrize(
    ("dtype", "white", "too_bright"),
    [
        (torch.float64, 1.0005, 1.002),
        (torch.float32, 1.00025, 1.002),  # white, normalized to ImageNet's mean and deviation in bfloat16 and back
        (torch.float16, 1 + 2**-10, 1 + 2**-8),
        (torch.bfloat16, 1 + 2**-7, 1 + 2**-5),
    ],
)
def test_the_tolerance_follows_the_dtype(dtype, white, too_bright):
    images = torch.zeros(1, 3, 64, 64, dtype=dtype)
    metric = metric_of().to(dtype)
    images[0, 0, 0, 0] = white
    assert float(images.max()) > 1
    assert l2(images, images).item() == 0
    assert metric(images - 0.5, images).isfinite().all()
    images[0, 0, 0, 0] = too_bright
    for call in (l2, metric):
        with pytest.raises(ValueError, match="expected"):
            call(images, images)


@pytest.mark.parametrize("values", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused_in_any_image(values):
    for broken in range(3):
        triplet = images(1, 3, 64, 64)
        triplet[broken][0, 1, 3, 4] = values
        with pytest.raises(ValueError, match=f"{('ref', 'p0', 'p1')[broken]} image has values"):
            metric_of().triplet(*triplet)


def test_images_in_0_to_1_without_normalize_are_warned_of_once_per_metric():
    x, y, z = ((image + 1) / 2 for image in images(2, 3, 64, 64))
    for call in (metric_of(), metric_of().triplet, metric_of().optimized(compiled=False)):
        arguments = (x, y, z) if getattr(call, "__name__", "") == "triplet" else (x, y)
        with pytest.warns(UserWarning, match=r"no image has a negative value.*normalize=True") as found:
            call(*arguments)
            call(*arguments)
        assert len(found) == 1


def test_each_metric_warns_at_the_users_line_under_pythons_own_filter():
    x, y, _ = ((image + 1) / 2 for image in images(1, 3, 64, 64))
    with warnings.catch_warnings(record=True) as found:
        warnings.resetwarnings()
        warnings.simplefilter("default")
        for metric in (metric_of(), metric_of()):
            for _ in range(2):
                metric(x, y)
    assert len(found) == 2
    assert {warning.filename for warning in found} == {__file__}


def test_nothing_is_warned_of_if_one_image_has_a_negative_value_or_normalize_is_given():
    x, y, z = images(2, 3, 64, 64)
    metric = metric_of()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric(x, y.abs())
        metric.triplet(x.abs(), y.abs(), z)
        metric(x.abs(), y.abs(), normalize=True)
        metric_of(validate=False)(x.abs(), y.abs())


@pytest.mark.parametrize("name", GRAY)
def test_images_of_one_channel_are_as_three_equal_ones(name):
    x, y, _ = ((image[:, :1] + 1) / 2 for image in images(3, 3, 32, 40))
    wanted = GRAY[name](x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1))
    # The weights of red, green and blue add up to 1 but for rounding.
    torch.testing.assert_close(GRAY[name](x, y), wanted, atol=1e-6, rtol=1e-5)


def test_where_color_counts_one_channel_is_refused_with_the_remedy():
    x = torch.zeros(1, 1, 64, 64)
    for call in (metric_of(), metric_of().optimized(compiled=False), fsimc):
        with pytest.raises(ValueError, match=r"\(1, 1, 64, 64\).*image\.expand\(-1, 3, -1, -1\)"):
            call(x, x)
    with pytest.raises(ValueError, match=r"expected \(N, 1 or 3, H, W\)"):
        l2(torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8))


def test_our_own_images_from_bytes_are_not_checked(reads):
    from lpips_repro.evaluation.distances.compute import Engine
    from lpips_repro.evaluation.methods.published import lpips_distance

    distance = lpips_distance(metric_of(), Engine(torch.device("cpu")))
    reads.clear()
    distance.measure(*((image + 1) / 2 for image in images(2, 3, 64, 64)))
    assert not reads
