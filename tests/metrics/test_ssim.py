import functools

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity
from torch import Tensor

from lpips_repro.metrics import METRICS, dssim, ssim
from lpips_repro.metrics.ssim import BLOCK_PIXELS

WINDOWS = ("uniform", "gaussian")
COLORSPACES = ("rgb", "lab")
# Against scikit-image in float64. Moments are taken in float64, so float32 only rounds images, Lab values, the sum and
# difference of the images (at worst 5e-6 in SSIM) and the result.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def as_batch(image: np.ndarray, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(dtype)


def scikit_ssim(x: np.ndarray, y: np.ndarray, window: str = "uniform", colorspace: str = "rgb") -> float:
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False} if window == "gaussian" else {}
    if colorspace == "lab":
        x, y, span = rgb2lab(x), rgb2lab(y), 100
    else:
        span = 1
    return structural_similarity(x, y, channel_axis=2, data_range=span, **settings)


@functools.cache
def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of images in [0, 1], with values that float32 holds exactly."""
    random = np.random.default_rng(0)
    noise = random.random((2, 128, 128, 3))
    astronaut, coffee, chelsea, rocket = (
        getattr(data, name)() / 255 for name in ("astronaut", "coffee", "chelsea", "rocket")
    )
    flat = np.ones((32, 40, 3))
    bands = flat * np.repeat([0.1, 0.5, 0.9, 1.0], 10)[:, None]
    rows, columns = np.indices((32, 40))[..., None]
    ramp, checker, half = flat * columns / 39, flat * ((rows + columns) % 2), flat * (columns < 20)
    examples = {
        "random 64 x 64": tuple(noise[:, :64, :64]),
        "random, the window's own size": tuple(noise[:, :11, :11]),
        "random, odd": tuple(noise[:, :33, :47]),
        "random, one window a row": tuple(noise[:, :40, :11]),
        "random, one row of windows": tuple(noise[:, :11, :40]),
        "photograph, noise": (
            astronaut[::4, ::4],
            np.clip(astronaut[::4, ::4] + 0.3 * (noise[0] - 0.5), 0, 1),
        ),
        "photograph, levels": (coffee, np.round(coffee * 12) / 12),
        "photograph, odd": (chelsea, np.roll(chelsea, 1, axis=1)),
        "photograph, night": (rocket[:151, :200], rocket[:151, :200] ** 1.5),
        "dark": (noise[0] * 0.01, noise[1] * 0.01),
        "bright": (1 - noise[0] * 0.01, 0.6 - noise[1] * 0.01),
        "black and white": (0 * flat, flat),
        # Where E[v^2] - E[v]^2 in float32 was off by 2e-5 to 6e-5.
        "flat and bright": (flat, 0.3 * flat),
        "flat grays": (254 / 255 * flat, 0.5 * flat),
        "bands": (bands, bands**2 * 0.7),
        "bands, flat": (bands, 0.6 * flat),
        # Where it is off likewise, or nearly: large moments, or variances near the constant that they meet.
        "faint noise on white": (1 - 1e-4 * noise[0, :32, :40], 1 - 1e-4 * noise[1, :32, :40]),
        "faint noise on white and gray": (1 - 1e-4 * noise[0, :32, :40], 0.7 - 1e-2 * noise[1, :32, :40]),
        "half black, half white": (half, 1 - half),
        "half and half, bright": (0.9 + 0.07 * half, 0.97 - 0.07 * half),
        "ramp": (ramp, ramp[:, ::-1]),
        "ramp, faint": (0.9 + 0.1 * ramp, 0.9 + 0.09 * ramp),
        "checker": (checker, 1 - checker),
        "checker, bright": (0.99 + 0.01 * checker, 0.96 + 0.03 * checker),
        "single pixels": (flat * ((rows * 40 + columns) % 53 > 0), 0.9 * flat),
    }
    return {name: tuple(v.astype(np.float32).astype(np.float64) for v in pair) for name, pair in examples.items()}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("colorspace", COLORSPACES)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", pairs())
def test_value_is_that_of_scikit_image(name, window, colorspace, dtype):
    x, y = pairs()[name]
    found = ssim(as_batch(x, dtype), as_batch(y, dtype), window, colorspace)
    assert found.dtype == dtype
    assert found.item() == pytest.approx(scikit_ssim(x, y, window, colorspace), abs=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_values_of_the_example_pair(shared, dtype):
    x, y = (
        as_batch(np.array(Image.open(shared / "examples" / f"ex_{name}.png")) / 255, dtype) for name in ("ref", "p0")
    )
    # Half a unit of the last digit written down.
    assert dssim(x, y).item() == pytest.approx(0.261575, abs=5e-7)
    assert dssim(x, y, colorspace="lab").item() == pytest.approx(0.242620, abs=5e-7)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("colorspace", COLORSPACES)
def test_truncated_value_is_that_of_the_released_pipeline(colorspace, dtype):
    x, y = data.astronaut()[100:164, 100:164], data.coffee()[100:164, 100:164]
    tensors = [(image.astype(np.float32) / 255 - np.float32(0.5)) / np.float32(0.5) for image in (x, y)]
    cut = [((tensor + 1) * np.float32(255 / 2)).astype(np.uint8) for tensor in tensors]
    assert any((image != seen).any() for image, seen in zip((x, y), cut, strict=True))
    found = ssim(as_batch(x / 255, dtype), as_batch(y / 255, dtype), colorspace=colorspace, truncate=True)
    expected = scikit_ssim(cut[0] / 255, cut[1] / 255, "uniform", colorspace)
    assert found.item() == pytest.approx(expected, abs=TOLERANCE[dtype])


@pytest.mark.parametrize("window", WINDOWS)
def test_pairs_that_do_not_fill_a_whole_block_are_all_there(window, monkeypatch):
    x, y = torch.rand(2, 5, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = ssim(x, y, window)
    # Blocks of 4 channels: they end inside images, and the last one is short.
    monkeypatch.setitem(BLOCK_PIXELS, "cpu", 4 * 256 + 1)
    torch.testing.assert_close(ssim(x, y, window), whole, atol=1e-14, rtol=0)


@pytest.mark.parametrize("window", WINDOWS)
def test_images_are_left_as_they_are(window):
    # In float64 it works on them directly, and partly in place.
    images = torch.rand(2, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = images.clone()
    ssim(*images, window)
    assert torch.equal(images, before)


@pytest.mark.parametrize("colorspace", COLORSPACES)
@pytest.mark.parametrize("window", WINDOWS)
def test_gradient_is_its_derivative(window, colorspace):
    generator = torch.Generator().manual_seed(0)
    x, y = (0.1 + 0.8 * torch.rand(2, 1, 3, 12, 11, generator=generator, dtype=torch.float64)).unbind()
    value = functools.partial(ssim, window=window, colorspace=colorspace)
    assert torch.autograd.gradcheck(value, (x.requires_grad_(), y.requires_grad_()), fast_mode=True)


def test_dssim_is_the_distance_that_is_registered():
    x, y = torch.rand(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dssim(x, y), METRICS["ssim"].to_distance(ssim(x, y)))
    assert "dssim" not in METRICS


@pytest.mark.parametrize(("setting", "allowed"), [("window", "uniform, gaussian"), ("colorspace", "rgb, lab")])
@pytest.mark.parametrize("metric", [ssim, dssim])
def test_an_unknown_setting_is_an_error_that_names_it(metric, setting, allowed):
    x = torch.zeros(1, 3, 16, 16)
    with pytest.raises(ValueError, match=f"{setting}='other': expected one of {allowed}"):
        metric(x, x, **{setting: "other"})


@pytest.mark.parametrize(("window", "size"), [("uniform", 7), ("gaussian", 11)])
def test_images_smaller_than_the_window_are_an_error(window, size):
    fits, small = torch.zeros(1, 3, size, size), torch.zeros(1, 3, size, size - 1)
    assert ssim(fits, fits, window).item() == 1
    with pytest.raises(ValueError, match=f"at least {size}"):
        ssim(small, small, window)


@pytest.mark.parametrize(("window", "colorspace"), [("uniform", "rgb"), ("gaussian", "lab")])
def test_compiled_values_and_gradients_are_those_of_eager_code(window, colorspace):
    x, y = torch.rand(2, 11, 3, 64, 64, generator=torch.Generator().manual_seed(0))  # 33 channels: a block and one more
    torch._dynamo.utils.counters.clear()
    with torch.inference_mode():
        found = ssim(x, y, window, colorspace, compiled=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    torch.testing.assert_close(found, ssim(x, y, window, colorspace), rtol=0, atol=1e-6)
    gradients = []
    for compiled in (True, False):
        moving = x.clone().requires_grad_()
        ssim(moving, y, window, colorspace, compiled=compiled).sum().backward()
        gradients.append(moving.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-8)
