import lpips as released
import numpy as np
import pytest
import torch
from skimage import data
from skimage.color import rgb2lab
from torch import Tensor

from lpips_repro.color import rgb_to_lab, truncate_to_uint8, weighted_sum
from lpips_repro.errors import check_choice
from lpips_repro.metrics.inputs import at_least_float32

# The constants are those of scikit-image, so in float64 only the order of operations differs. In float32, a and b are
# differences of numbers near 1, which have several rounding errors of 6e-8, times 500 and 200.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 1e-4}


def as_batch(image: np.ndarray, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(dtype)


def rgb_images() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0).random((64, 48, 3))
    return {
        "photograph": data.astronaut()[::2, ::2] / 255,
        "random": random,
        "near black": random * 0.05,
        "grays": np.repeat(np.linspace(0, 1, 4096).reshape(64, 64, 1), 3, axis=2),
        "primaries": np.stack(np.meshgrid([0.0, 1.0], [0.0, 0.04045, 1.0], [0.0, 1.0]), axis=-1).reshape(4, 3, 3),
    }


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", rgb_images())
def test_lab_equals_that_of_scikit_image(name, dtype):
    image = rgb_images()[name]
    found = rgb_to_lab(as_batch(image, dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), as_batch(rgb2lab(image)), atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("level", [0.0, 1e-30, 0.04045, 0.5, 1.0])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_lab_has_finite_gradients_at_black_at_the_thresholds_and_at_white(dtype, level):
    rgb = torch.full((1, 3, 2, 2), level, dtype=dtype, requires_grad=True)
    for channel in range(3):
        (gradient,) = torch.autograd.grad(rgb_to_lab(rgb)[:, channel].sum(), rgb)
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


def test_lab_gradient_is_its_derivative():
    rgb = torch.rand(1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(rgb_to_lab, rgb)


def test_weighted_sum_of_channels_by_hand():
    rgb = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1)
    assert weighted_sum(rgb, (2, 3, 4)).tolist() == [[[432.0]]]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_truncation_equals_that_of_the_released_code_on_every_gray_level(dtype):
    levels = torch.arange(256, dtype=torch.float32).view(1, 1, 16, 16).expand(1, 3, 16, 16) / 255
    theirs = released.tensor2im((levels - 0.5) / 0.5)
    found = truncate_to_uint8(levels.to(dtype))
    assert found.dtype == dtype
    # Exactly equal, since both are whole gray levels.
    assert torch.equal((found * 255).round(), as_batch(theirs, dtype))


def test_truncation_loses_at_most_one_gray_level():
    levels = torch.arange(256)
    lost = levels - (truncate_to_uint8(levels / 255) * 255).round()
    assert lost.unique().tolist() == [0, 1]


def test_truncation_has_no_gradient():
    assert not truncate_to_uint8(torch.rand(1, 3, 2, 2, requires_grad=True)).requires_grad


def test_half_precision_becomes_float32_and_other_dtypes_are_kept():
    kept = [torch.float32, torch.float64]
    assert [at_least_float32(torch.zeros(1, dtype=dtype)).dtype for dtype in kept] == kept
    for dtype in (torch.float16, torch.bfloat16):
        assert at_least_float32(torch.zeros(1, dtype=dtype)).dtype == torch.float32


def test_the_error_of_an_unknown_choice_names_the_allowed_ones():
    with pytest.raises(ValueError, match="colorspace='hsv': expected one of rgb, lab"):
        check_choice("colorspace", "hsv", ("rgb", "lab"))
