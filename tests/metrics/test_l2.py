import lpips as released
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.color import rgb2lab
from torch import Tensor

from lpips_repro.color import truncate_to_uint8
from lpips_repro.metrics import l2, psnr


def as_batch(image: np.ndarray, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(dtype)


def example(shared, dtype: torch.dtype) -> list[Tensor]:
    paths = (shared / "examples" / name for name in ("ex_ref.png", "ex_p0.png"))
    return [as_batch(np.array(Image.open(path)) / 255, dtype) for path in paths]


def test_rgb_value_by_hand_on_the_scale_from_minus_one_to_one():
    x = torch.zeros(2, 3, 2, 2)
    y = torch.zeros(2, 3, 2, 2)
    y[0, 0] = 0.5  # a third of the values differ by 1 on the [-1, 1] scale
    y[1] = 1.0  # all differ by 2
    # 1e-7: float32 rounds 1/3.
    assert l2(x, y).tolist() == pytest.approx([1 / 3, 4.0], abs=1e-7)


def test_lab_value_by_hand():
    black, white = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    # L differs by 100, a and b hardly: half of a third. Scikit-image's white has b of about 1e-2, squared 1e-8 of it.
    assert l2(black, white, colorspace="lab").item() == pytest.approx(1 / 6, abs=1e-7)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_lab_value_is_that_of_scikit_image(dtype, tolerance):
    # The tolerances are about ten roundings of values below 1.
    x, y = data.coffee()[:128, :99] / 255, data.chelsea()[:128, :99] / 255
    expected = 0.5 * (((rgb2lab(x) - rgb2lab(y)) / 100) ** 2).mean()
    assert l2(as_batch(x, dtype), as_batch(y, dtype), "lab").item() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_of_the_example_pair(shared, dtype):
    x, y = example(shared, dtype)
    # Half a unit of the last digit written down. The RGB value is the one that goes with 18.0455 dB.
    assert l2(x, y, "rgb").item() == pytest.approx(0.062734, abs=5e-7)
    assert l2(x, y, "lab").item() == pytest.approx(0.004313, abs=5e-7)


@pytest.mark.parametrize("colorspace", ["rgb", "lab"])
def test_values_are_those_of_the_released_evaluator(colorspace):
    # It truncates to uint8 before the conversion to Lab: so images of gray levels that this leaves as they are.
    x, y = (as_batch(image[:64, :64] / 255, torch.float32) for image in (data.coffee(), data.chelsea()))
    while not (torch.equal(x, truncate_to_uint8(x)) and torch.equal(y, truncate_to_uint8(y))):
        x, y = truncate_to_uint8(x), truncate_to_uint8(y)
    theirs = released.L2(use_gpu=False, colorspace="RGB" if colorspace == "rgb" else "Lab")(
        (x - 0.5) / 0.5, (y - 0.5) / 0.5
    )
    assert l2(x, y, colorspace).item() == pytest.approx(theirs.item(), rel=1e-6)  # its Lab value is a float32


def test_rgb_value_and_psnr_tell_the_same():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 5, 3, 9, 7, generator=generator, dtype=torch.float64)
    # 4 is the square of the span 2 over which L2 is taken; 1e-12: two logarithms and powers in float64.
    torch.testing.assert_close(l2(x, y), 4 * 10 ** (-psnr(x, y) / 10), atol=1e-12, rtol=0)


@pytest.mark.parametrize("colorspace", ["rgb", "lab"])
def test_gradient_is_its_derivative(colorspace):
    generator = torch.Generator().manual_seed(0)
    x, y = (0.1 + 0.8 * torch.rand(2, 1, 3, 3, 3, generator=generator, dtype=torch.float64)).unbind()
    assert torch.autograd.gradcheck(lambda a, b: l2(a, b, colorspace), (x.requires_grad_(), y.requires_grad_()))


def test_an_unknown_color_space_is_an_error_that_names_it():
    x = torch.zeros(1, 3, 4, 4)
    with pytest.raises(ValueError, match="'hsv': expected one of rgb, lab"):
        l2(x, x, colorspace="hsv")
