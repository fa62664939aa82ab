"""What holds for every classic metric, whatever the images."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lpips_repro.metrics import METRICS, dssim, fsim, fsimc, l2, psnr, ssim

VALUES = {
    "l2-rgb": l2,
    "l2-lab": functools.partial(l2, colorspace="lab"),
    "psnr": psnr,
    "ssim": ssim,
    "ssim-lab": functools.partial(ssim, colorspace="lab"),
    "ssim-gaussian": functools.partial(ssim, window="gaussian"),
    "ssim-truncated": functools.partial(ssim, truncate=True),
    "dssim": dssim,
    "fsim": fsim,
    "fsimc": fsimc,
}
DIFFERENTIABLE = [name for name in VALUES if name != "ssim-truncated"]
DTYPES = (torch.float32, torch.float64)
# What two ways of adding up the same numbers may differ by, in dB for PSNR.
ROUNDING = {torch.float32: 2e-5, torch.float64: 1e-10}


def distance(name: str, x: Tensor, y: Tensor) -> Tensor:
    value = VALUES[name](x, y)
    return value if name == "dssim" else METRICS[name.split("-")[0]].to_distance(value)


@st.composite
def images(draw, dtypes=DTYPES):
    """A batch of images of one kind or another: noise, flat, nearly flat, dark, black and white, half of it flat."""
    shape = (draw(st.integers(1, 3)), 3, draw(st.integers(11, 20)), draw(st.integers(11, 20)))
    dtype = draw(st.sampled_from(dtypes))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    noise = torch.rand(shape, generator=generator, dtype=dtype)
    level = torch.rand((shape[0], 3, 1, 1), generator=generator, dtype=dtype)
    kinds = {
        "noise": lambda: noise,
        "gray noise": lambda: noise[:, :1].expand(shape),
        "flat": lambda: level.expand(shape),
        "nearly flat": lambda: level * 0.99 + noise * 0.01,
        "dark": lambda: noise * 0.01,
        "black": lambda: noise * 0,
        "white": lambda: noise * 0 + 1,
        "black and white": lambda: noise.round(),
        "8 bits": lambda: (noise * 255).round() / 255,
        "half flat": lambda: torch.where(torch.arange(shape[3]) < shape[3] // 2, level, noise),
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))]().contiguous()


@st.composite
def image_pairs(draw, dtypes=DTYPES):
    """Two batches of one shape, of the same kind or of two."""
    x = draw(images(dtypes))
    y = draw(images((x.dtype,)))
    size = [max(a, b) for a, b in zip(x.shape, y.shape, strict=True)]
    return tuple(
        v[[i % len(v) for i in range(size[0])]][:, :, : min(x.shape[2], y.shape[2]), : min(x.shape[3], y.shape[3])]
        for v in (x, y)
    )


# The same examples in every run, and as many as take a few seconds in all.
quick = settings(max_examples=30, deadline=None, derandomize=True)


@pytest.mark.parametrize("name", VALUES)
@given(pair=image_pairs())
@quick
def test_the_order_of_the_two_images_does_not_matter(name, pair):
    x, y = pair
    torch.testing.assert_close(VALUES[name](x, y), VALUES[name](y, x), atol=ROUNDING[x.dtype], rtol=0)


@pytest.mark.parametrize("name", VALUES)
@given(x=images())
@quick
def test_identical_images_are_exactly_at_distance_zero(name, x):
    expected = -torch.inf if name == "psnr" else 0.0
    assert distance(name, x, x.clone()).tolist() == [expected] * len(x)


@pytest.mark.parametrize("name", [name for name in VALUES if name != "psnr"])
@given(pair=image_pairs())
@quick
def test_distances_are_not_negative_and_not_nan(name, pair):
    # A similarity may come out above 1 by its rounding.
    assert (distance(name, *pair) >= -ROUNDING[pair[0].dtype]).all()


@pytest.mark.parametrize("name", VALUES)
@given(pair=image_pairs())
@quick
def test_each_value_depends_on_its_own_pair_only(name, pair):
    x, y = pair
    alone = torch.cat([VALUES[name](x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
    assert alone.shape == x.shape[:1]
    torch.testing.assert_close(VALUES[name](x, y), alone, atol=ROUNDING[x.dtype], rtol=0)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@given(pair=image_pairs())
@quick
def test_gradients_are_finite(name, pair):
    for x, y in (pair, (pair[0], pair[0].clone())):
        x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
        value = VALUES[name](x, y)
        for gradient in torch.autograd.grad(value.sum(), (x, y)):
            assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", VALUES)
def test_half_precision_images_are_computed_in_float32(name, dtype):
    x, y = torch.rand(2, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(VALUES[name](x, y), VALUES[name](x.float(), y.float()))


@pytest.mark.parametrize("name", VALUES)
def test_images_out_of_range_are_an_error(name):
    x = torch.zeros(1, 3, 16, 16)
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        VALUES[name](x, x + 255)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", VALUES)
def test_cuda_gives_the_values_of_the_cpu(name, dtype):
    x, y = torch.rand(2, 5, 3, 33, 64, generator=torch.Generator().manual_seed(0), dtype=dtype)
    torch.testing.assert_close(VALUES[name](x.cuda(), y.cuda()).cpu(), VALUES[name](x, y), atol=ROUNDING[dtype], rtol=0)
