import functools
import math

import numpy as np
import piq
import pytest
import torch
from PIL import Image
from scipy.signal import convolve2d
from skimage import data
from torch import Tensor

from lpips_repro.metrics import METRICS, fsim, fsimc
from lpips_repro.metrics.fsim import BLOCK_PIXELS, _filters

# The published metric in float64; the order of operations differs, and in float32 the FFT rounds.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


def as_batch(image: np.ndarray, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(dtype)


def conv_same(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """MATLAB's conv2(image, kernel, 'same'); SciPy centers even kernels on the other side."""
    (top, left), (height, width) = (size // 2 for size in kernel.shape), image.shape
    return convolve2d(image, kernel, "full")[top : top + height, left : left + width]


def reference_congruency(image: np.ndarray) -> np.ndarray:
    """Phase congruency step by step with complex FFTs, one filter at a time."""
    rows, columns = image.shape
    grids = [np.arange(n) - (n - 1) / 2 if n % 2 else np.arange(n) - n / 2 for n in (rows, columns)]
    v, u = np.meshgrid(*(g / (len(g) - 1 if len(g) % 2 else len(g)) for g in grids), indexing="ij")
    radius, theta = np.fft.ifftshift(np.hypot(u, v)), np.fft.ifftshift(np.arctan2(-v, u))
    radius[0, 0] = 1
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    spectrum = np.fft.fft2(image)
    energy_all, amplitude_all = np.zeros_like(image), np.zeros_like(image)
    for orientation in range(4):
        angle = orientation * math.pi / 4
        difference = np.angle(np.exp(1j * (theta - angle)))
        spread = np.exp(-(difference**2) / (2 * (math.pi / 4 / 1.2) ** 2))
        filters, responses = [], []
        for scale in range(4):
            log_gabor = np.exp(-(np.log(radius * 6 * 2**scale) ** 2) / (2 * math.log(0.55) ** 2)) * low_pass
            log_gabor[0, 0] = 0
            filters.append(log_gabor * spread)
            responses.append(np.fft.ifft2(spectrum * filters[-1]))
        total = sum(responses)
        mean = total / (np.abs(total) + 1e-4)
        energy = sum((r * mean.conj()).real - np.abs((r * mean.conj()).imag) for r in responses)
        noise_power = -np.median(np.abs(responses[0]) ** 2) / math.log(0.5) / (filters[0] ** 2).sum()
        kernels = [np.fft.ifft2(f).real * math.sqrt(image.size) for f in filters]
        squares = sum((k**2).sum() for k in kernels)
        products = sum((kernels[i] * kernels[j]).sum() for i in range(4) for j in range(i + 1, 4))
        tau = math.sqrt((2 * noise_power * squares + 4 * noise_power * products) / 2)
        threshold = (tau * math.sqrt(math.pi / 2) + 2 * math.sqrt((2 - math.pi / 2) * tau**2)) / 1.7
        energy_all += np.maximum(energy - threshold, 0)
        amplitude_all += sum(np.abs(r) for r in responses)
    return energy_all / amplitude_all


def reference_fsim(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """FSIM and FSIMc as their authors' MATLAB code goes, for one pair of images in [0, 1]."""
    factor = max(1, math.floor(min(x.shape[:2]) / 256 + 0.5))
    yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    kernel = np.full((factor, factor), 1 / factor**2)
    scharr = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
    maps = []
    for image in (x, y):
        luma, i, q = (conv_same(c, kernel)[::factor, ::factor] for c in np.moveaxis(255 * image @ yiq.T, 2, 0))
        gradient = np.hypot(conv_same(luma, scharr), conv_same(luma, scharr.T))
        maps.append((reference_congruency(luma), gradient, i, q))
    s_pc, s_g, s_i, s_q = (
        (2 * a * b + t) / (a**2 + b**2 + t) for a, b, t in zip(*maps, (0.85, 160, 200, 200), strict=True)
    )
    weight = np.maximum(maps[0][0], maps[1][0])
    chroma = ((s_i * s_q).astype(complex) ** 0.03).real
    return tuple((s_pc * s_g * c * weight).sum() / weight.sum() for c in (1, chroma))


@functools.cache
def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of images in [0, 1], with values that float32 holds exactly."""
    random = np.random.default_rng(0)
    astronaut, coffee, chelsea, rocket = (
        getattr(data, name)() / 255 for name in ("astronaut", "coffee", "chelsea", "rocket")
    )
    noise = random.random((2, 65, 81, 3))
    examples = {
        "noise 64 x 64": tuple(noise[:, :64, :64]),
        "noise, odd 65 x 81": tuple(noise),
        "noise, odd by even 65 x 64": tuple(noise[:, :, :64]),
        "opposite colors": (astronaut[:96, :80], astronaut[:96, :80, ::-1]),
        "photograph 300 x 451, F = 1": (chelsea, np.round(chelsea * 12) / 12),
        "photograph 400 x 600, F = 2": (coffee, np.clip(coffee + 0.2 * (random.random(coffee.shape) - 0.5), 0, 1)),
        "photograph 512 x 512, F = 2": (astronaut, np.roll(astronaut, 2, axis=1)),
        "photograph, odd 427 x 515, F = 2": (rocket[:, :515], rocket[:, :515] ** 0.8),
        # 640 / 256 = 2.5, which MATLAB rounds up.
        "photograph 640 x 647, F = 3": tuple(
            np.pad(v, ((0, 640 - 512), (0, 647 - 512), (0, 0)), "symmetric") for v in (astronaut, astronaut**1.2)
        ),
    }
    return {name: tuple(v.astype(np.float32).astype(np.float64) for v in pair) for name, pair in examples.items()}


@functools.cache
def expected(name: str) -> tuple[float, float]:
    return reference_fsim(*pairs()[name])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", pairs())
def test_values_are_those_of_the_published_algorithm(name, dtype):
    x, y = (as_batch(image, dtype) for image in pairs()[name])
    found = fsim(x, y), fsimc(x, y)
    assert {value.dtype for value in found} == {dtype}
    assert [value.item() for value in found] == pytest.approx(expected(name), abs=TOLERANCE[dtype])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_values_of_the_example_pair(shared, dtype, tolerance):
    x, y = (
        as_batch(np.array(Image.open(shared / "examples" / f"ex_{name}.png")) / 255, dtype) for name in ("ref", "p0")
    )
    # Written down with six digits; float32 rounds in the FFT.
    assert fsim(x, y).item() == pytest.approx(0.647521, abs=tolerance)
    assert fsimc(x, y).item() == pytest.approx(0.645232, abs=tolerance)


@pytest.mark.parametrize("name", [name for name in pairs() if "427" not in name and "640" not in name])
def test_luma_values_are_those_of_piq(name):
    # piq takes the lower median of an even number and another epsilon: 2e-5 on real pairs. Odd sizes that are scaled
    # down are left out: piq drops the last row where MATLAB pads; so is F = 2.5, which piq rounds to 2.
    x, y = (as_batch(image) for image in pairs()[name])
    assert fsim(x, y).item() == pytest.approx(piq.fsim(x, y, chromatic=False).item(), abs=1e-4)


def test_opposite_colors_use_the_real_part_of_the_complex_power():
    x, y = (as_batch(image) for image in pairs()["opposite colors"])
    # piq takes |S_I S_Q|^.03, which is larger where S_I S_Q < 0, by 1 / cos(.03 pi) there; the reference test above
    # says by how much, this one that such pixels are there at all.
    assert piq.fsim(x, y).item() - fsimc(x, y).item() > 1e-4


@pytest.mark.parametrize("metric", [fsim, fsimc])
def test_pairs_that_do_not_fill_a_whole_block_are_all_there(metric, monkeypatch):
    x, y = torch.rand(2, 5, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = metric(x, y)
    monkeypatch.setitem(BLOCK_PIXELS, "cpu", 2 * 256 + 1)
    # 1e-12: rounding of float64 in the FFT.
    torch.testing.assert_close(metric(x, y), whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize("metric", [fsim, fsimc])
def test_gradient_is_its_derivative(metric):
    x, y = torch.rand(2, 1, 3, 10, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind()
    assert torch.autograd.gradcheck(metric, (x.requires_grad_(), y.requires_grad_()), fast_mode=True)


@pytest.mark.parametrize("metric", [fsim, fsimc])
def test_flat_images_of_one_luminance_differ_only_in_color(metric):
    gray = torch.full((1, 3, 32, 32), 0.5)
    assert metric(gray, gray).item() == 1
    # The same luma within 1e-8, on the 0-255 scale.
    tinted = gray + 0.1 * torch.tensor([1.0, -0.299 / 0.587, 0.0]).view(1, 3, 1, 1)
    if metric is fsim:
        assert metric(gray, tinted).item() == pytest.approx(1, abs=1e-6)
    else:
        assert metric(gray, tinted).item() < 0.999


def test_filters_are_made_once_for_each_size():
    _filters.cache_clear()
    x = torch.rand(4, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        fsim(x, x)
        fsimc(x, x)
    assert _filters.cache_info().misses == 1


def test_filters_made_in_inference_mode_serve_gradients_later():
    _filters.cache_clear()
    x, y = torch.rand(2, 1, 3, 16, 18, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        value = fsim(x, y)
    x.requires_grad_()
    again = fsim(x, y)
    (gradient,) = torch.autograd.grad(again, x)
    assert gradient.isfinite().all()
    assert torch.equal(again.detach(), value)


def test_both_are_registered_with_one_minus_the_value_as_the_distance():
    for metric in (fsim, fsimc):
        entry = METRICS[metric.__name__]
        assert entry.function is metric
        assert entry.to_distance(torch.tensor([1.0, 0.25])).tolist() == [0.0, 0.75]


@pytest.mark.parametrize("metric", [fsim, fsimc])
def test_images_smaller_than_the_finest_filter_are_an_error(metric):
    x = torch.rand(1, 3, 6, 5)
    with pytest.raises(ValueError, match="expected sides of at least 6"):
        metric(x, x)
