import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from lpips_repro.metrics import METRICS, psnr


def as_batch(image: np.ndarray, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(dtype)


def test_value_by_hand():
    x = torch.zeros(3, 3, 4, 4, dtype=torch.float64)
    y = torch.tensor([1.0, 0.1, 1 / 255], dtype=torch.float64).view(3, 1, 1, 1).expand_as(x)
    # The last one: off by one gray level everywhere, 20 log10(255). 1e-12: rounding of float64.
    assert psnr(x, y).tolist() == pytest.approx([0.0, 20.0, 48.130803608679102], abs=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_value_is_that_of_scikit_image(dtype, tolerance):
    # The tolerances are a few roundings of values near 10, and of the mean of 38016 squares.
    x, y = data.coffee()[:128, :99], data.chelsea()[:128, :99]
    expected = peak_signal_noise_ratio(x, y, data_range=255)
    assert psnr(as_batch(x / 255, dtype), as_batch(y / 255, dtype)).item() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_value_of_the_example_pair(shared, dtype):
    x, y = (
        as_batch(np.array(Image.open(shared / "examples" / f"ex_{name}.png")) / 255, dtype) for name in ("ref", "p0")
    )
    # Half a unit of the last digit written down.
    assert psnr(x, y).item() == pytest.approx(18.0455, abs=5e-5)


def test_as_a_distance_it_is_negated():
    assert METRICS["psnr"].to_distance(torch.tensor([18.0, torch.inf])).tolist() == [-18.0, -torch.inf]


# A difference of 1e-25 squares to 0 in float32.
@pytest.mark.parametrize("difference", [0.0, 1e-25])
def test_identical_images_have_infinite_psnr_with_zero_gradient(difference):
    x = torch.zeros(1, 3, 4, 4, requires_grad=True)
    value = psnr(x, x.detach() + difference)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    assert value.item() == torch.inf
    assert gradient.eq(0).all()


def test_one_identical_pair_leaves_the_gradients_of_the_others():
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = torch.stack((x[0].detach(), 1 - x[1].detach()))
    (gradient,) = torch.autograd.grad(psnr(x, y)[1], x)
    assert gradient[0].eq(0).all()
    assert gradient[1].isfinite().all()
    assert gradient[1].abs().sum() > 0


def test_gradient_is_its_derivative():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 2, 3, 3, 3, generator=generator, dtype=torch.float64).unbind()
    assert torch.autograd.gradcheck(psnr, (x.requires_grad_(), y.requires_grad_()))
