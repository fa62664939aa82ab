"""The distortions compared with other libraries, at the physical amounts that the registry states."""

import io

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from skimage import color, restoration
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from lpips_repro.datasets.mini.photographs import draw_patch
from lpips_repro.distortions import DISTORTIONS, distort
from lpips_repro.distortions.noise import colored_noise
from lpips_repro.distortions.registry import draw_sign

SEVERITIES = (0.15, 0.5, 1.0)


@pytest.fixture(scope="module")
def patch() -> np.ndarray:
    return draw_patch("val", np.random.default_rng(1))


@pytest.fixture(scope="module")
def smooth(patch) -> np.ndarray:
    """A smooth image, for which all kinds of interpolation agree, without values near the ends of the range."""
    return (0.3 + 0.4 * cv2.GaussianBlur(cv2.resize(patch, (160, 160)), (0, 0), 4)).astype(np.float32)


def amount(name: str, severity: float, which: int = 0) -> float:
    return DISTORTIONS[name].amounts[which].at(severity)


def to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def from_tensor(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def middle(image: np.ndarray, margin: int = 50) -> np.ndarray:
    return image[margin:-margin, margin:-margin]


@pytest.mark.parametrize("severity", [0.0, *SEVERITIES])
@pytest.mark.parametrize("shape", [(64, 64), (37, 50)])
def test_jpeg_is_pillows_at_the_stated_quality(patch, severity, shape):
    image = patch[: shape[0], : shape[1]]
    file = io.BytesIO()
    pixels = Image.fromarray(np.rint(image * 255).astype(np.uint8))
    pixels.save(file, "JPEG", quality=amount("jpeg", severity), subsampling=0)
    found = np.rint(distort(image, [("jpeg", severity)], 0) * 255)
    assert np.array_equal(found, np.asarray(Image.open(file)))


@pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")
def test_jpeg_is_torchvisions_but_for_its_subsampled_chroma(patch):
    """torchvision stores chroma at half the size, so a gray image, which has none, compares the rest."""
    gray = np.repeat(patch.mean(axis=2, keepdims=True), 3, axis=2)
    pixels = np.rint(gray * 255).astype(np.uint8)
    expected = functional.jpeg(to_tensor(pixels), quality=int(amount("jpeg", 0.5)))
    found = np.rint(distort(gray, [("jpeg", 0.5)], 0) * 255)
    assert np.abs(found - from_tensor(expected)).max() <= 1  # rounding of two versions of libjpeg


@pytest.mark.parametrize("severity", SEVERITIES)
def test_gaussian_blur_has_its_stated_sigma(patch, severity):
    sigma = amount("gaussian_blur", severity)
    found = distort(patch, [("gaussian_blur", severity)], 0)
    size = round(8 * sigma + 1) | 1  # four sigma to each side, as in OpenCV
    expected = functional.gaussian_blur(to_tensor(patch), [size, size], [sigma, sigma])
    assert np.abs(found - from_tensor(expected)).max() < 1e-5
    gaussian = ndimage.gaussian_filter(patch, sigma, mode="mirror", axes=(0, 1))
    assert np.abs(found - gaussian).max() < 2e-3


def bilateral(image: np.ndarray, radius: int, sigma: float, of_values: float) -> np.ndarray:
    """The filter of Tomasi and Manduchi by its formula, over a disc, with differences summed over the channels."""
    height, width, _ = image.shape
    padded = np.pad(image.astype(np.float64), [(radius, radius), (radius, radius), (0, 0)], mode="reflect")
    total, weights = 0.0, 0.0
    for y, x in np.ndindex(2 * radius + 1, 2 * radius + 1):
        apart = np.hypot(y - radius, x - radius)
        if apart <= radius:
            other = padded[y : y + height, x : x + width]
            change = np.abs(other - image).sum(axis=2, keepdims=True)
            weight = np.exp(-(apart**2) / (2 * sigma**2) - change**2 / (2 * of_values**2))
            total, weights = total + weight * other, weights + weight
    return total / weights


@pytest.mark.parametrize("severity", [0.3, 1.0])
def test_bilateral_filter_has_its_stated_sigmas(patch, severity):
    sigma, of_values = (amount("bilateral_filter", severity, which) for which in (0, 1))
    found = distort(patch, [("bilateral_filter", severity)], 0)
    assert np.abs(found - bilateral(patch, round(1.5 * sigma), sigma, of_values)).max() < 1e-5


def test_bilateral_filter_is_near_scikit_images():
    """scikit-image uses the square around the disc, and one channel: a third of the difference of three equal ones."""
    y, x = np.mgrid[0:80, 0:80]
    noise = np.random.default_rng(0).normal(0, 0.02, (80, 80))
    step = np.where(x + y > 80, 0.7, 0.3) + noise
    found = distort(np.repeat(step[..., None], 3, axis=2), [("bilateral_filter", 1.0)], 0)[..., 0]
    sigma, of_values = (amount("bilateral_filter", 1.0, which) for which in (0, 1))
    expected = restoration.denoise_bilateral(step, 17, of_values / 3, sigma, bins=100000, mode="symmetric")
    assert np.abs(middle(found, 12) - middle(expected, 12)).max() < 0.2 * np.abs(middle(found - step, 12)).max()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("severity", SEVERITIES)
def test_affine_is_torchvisions_at_its_drawn_amounts(smooth, severity, seed):
    rng = np.random.default_rng(seed)
    turn, scale, shear = rng.uniform(0.3, 1, 3) * rng.choice((-1, 1), 3)
    angle = turn * amount("affine", severity)
    factor = amount("affine", severity, 1) ** scale
    slope = shear * amount("affine", severity, 2)
    found = distort(smooth, [("affine", severity)], seed)
    # torchvision's transform is the inverse of ours.
    back = functional.affine(
        to_tensor(found),
        angle=angle,
        translate=[0.0, 0.0],
        scale=factor,
        shear=[-np.rad2deg(np.arctan(slope)), 0.0],
        interpolation=InterpolationMode.BILINEAR,
    )
    assert np.abs(middle(from_tensor(back)) - middle(smooth)).max() < 4e-3
    assert np.abs(middle(found) - middle(smooth)).max() > 5e-3


@pytest.mark.parametrize("severity", SEVERITIES)
def test_homography_is_torchvisions_perspective(smooth, severity):
    height, width = smooth.shape[:2]
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    most = amount("homography", severity) / 100 * min(height, width)
    moved = corners + np.random.default_rng(2).uniform(-1, 1, (4, 2)) * most
    expected = functional.perspective(to_tensor(smooth), corners.tolist(), moved.tolist())
    found = distort(smooth, [("homography", severity)], 2)
    assert np.abs(middle(found) - middle(from_tensor(expected))).max() < 4e-3
    assert np.abs(middle(found) - middle(smooth)).max() > 5e-3


@pytest.mark.parametrize("severity", SEVERITIES)
def test_shift_and_chromatic_aberration_are_scipys_shift(smooth, severity):
    angle = np.random.default_rng(3).uniform(0, 2 * np.pi)
    dx, dy = amount("shift", severity) * np.cos(angle), amount("shift", severity) * np.sin(angle)
    expected = ndimage.shift(smooth, (-dy, -dx, 0), order=3, mode="mirror")
    assert np.abs(distort(smooth, [("shift", severity)], 3) - expected).max() < 4e-3

    rng = np.random.default_rng(3)
    angle = rng.uniform(0, 2 * np.pi)
    length = amount("chromatic_aberration", severity) * draw_sign(rng)
    dx, dy = length * np.cos(angle), length * np.sin(angle)
    found = distort(smooth, [("chromatic_aberration", severity)], 3)
    for channel, sign in enumerate((-1, 0, 1)):
        expected = ndimage.shift(smooth[..., channel], (sign * dy, sign * dx), order=3, mode="mirror")
        assert np.abs(found[..., channel] - expected).max() < 4e-3


def test_ghosting_has_its_stated_weight():
    image = np.zeros((64, 64, 3), np.float32)
    image[20:40, 20:40] = 1
    found = distort(image, [("ghosting", 0.6)], 0)
    weight = amount("ghosting", 0.6)
    assert found[30, 30, 0] == pytest.approx(1, abs=1e-6)
    outside = found[..., 0] * (image[..., 0] == 0)
    assert outside.max() == pytest.approx(weight, abs=0.03)  # cubic interpolation overshoots a little


@pytest.mark.parametrize("name", ["linear_warp", "cubic_warp"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_warps_move_pixels_by_their_stated_amount_at_most(name, severity):
    """Measured on two ramps, whose values show where every pixel comes from."""
    y, x = np.mgrid[0:160, 0:160] / 160
    ramps = np.stack([x, y, x], axis=2).astype(np.float32)
    moved = (distort(ramps, [(name, severity)], 1) - ramps)[..., :2] * 160
    most = amount(name, severity)
    largest = np.abs(middle(moved, 24)).max()
    overshoot = 1.0 if name == "linear_warp" else 1.4  # of cubic interpolation between nodes
    assert 0.5 * most < largest < overshoot * most + 0.05
    # Half of all second differences lie between the nodes, where only the cubic warp is curved. OpenCV before version 5
    # rounds places to 1/32 px, which hides small curvature.
    bends = np.abs(np.diff(middle(moved, 24), n=2, axis=0))
    if severity >= 0.5:
        assert (np.median(bends) < 0.05 * bends.max()) == (name == "linear_warp")


@pytest.mark.parametrize(("side", "apart"), [(96, 12), (512, 15.06)])
def test_creases_of_the_linear_warp_are_as_far_apart_as_stated(side, apart):
    y, x = np.mgrid[0:side, 0:side] / side
    ramps = np.stack([x, y, x], axis=2).astype(np.float32)
    warped = [distort(ramps, [("linear_warp", 0.3)], seed) for seed in range(8)]
    moved = np.concatenate([middle(image - ramps, 24)[..., 0] * side for image in warped])
    bends = np.abs(np.diff(moved, n=2, axis=1)).mean(axis=0)
    bends -= np.median(bends)  # removes what rounding adds everywhere
    places = np.flatnonzero(bends > 0.35 * bends.max()) + 24 + 1  # the middle one of three columns
    node = (places + 0.5) / apart - 0.5
    assert np.abs(node - np.round(node)).max() * apart <= 1
    assert len({*np.round(node)}) >= 0.8 * (side - 48) / apart


@pytest.mark.parametrize("severity", SEVERITIES)
def test_lab_distortions_change_scikit_images_lab_by_their_stated_amount(smooth, severity):
    """On colors in the middle of the gamut. A difference of one unit is just visible."""
    gray = (0.45 + 0.1 * (smooth - 0.5)).astype(np.float32)
    before = color.rgb2lab(gray)
    lighter = color.rgb2lab(distort(gray, [("lightness_shift", severity)], 0)) - before
    assert np.abs(np.abs(lighter[..., 0]) - amount("lightness_shift", severity)).max() < 0.5
    assert np.abs(lighter[..., 1:]).max() < 0.5

    most = min(severity, 0.5)  # larger shifts leave the gamut
    moved = color.rgb2lab(distort(gray, [("color_shift", most)], 4)) - before
    assert np.abs(np.hypot(moved[..., 1], moved[..., 2]) - amount("color_shift", most)).max() < 0.5
    assert np.abs(moved[..., 0]).max() < 0.5

    up = draw_sign(np.random.default_rng(0)) > 0
    factor = amount("saturation", severity, 0 if up else 1)
    chroma = color.rgb2lab(distort(smooth, [("saturation", severity)], 0))[..., 1:]
    assert np.abs(chroma - factor * color.rgb2lab(smooth)[..., 1:]).max() < 1


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("seed", [0, 2])
def test_contrast_multiplies_the_deviation_by_its_stated_factor(smooth, severity, seed):
    image = (0.5 + 0.2 * (smooth - 0.5)).astype(np.float32)
    found = distort(image, [("contrast", severity)], seed)
    factor = amount("contrast", severity) ** draw_sign(np.random.default_rng(seed))
    assert found.std(axis=(0, 1)) == pytest.approx(factor * image.std(axis=(0, 1)), rel=1e-3)
    assert found.mean(axis=(0, 1)) == pytest.approx(image.mean(axis=(0, 1)), abs=1e-5)


@pytest.mark.parametrize("name", [name for name, one in DISTORTIONS.items() if one.group == "noise"])
def test_noises_have_their_stated_amplitude(name):
    gray = np.full((256, 256, 3), 0.5, np.float32)
    noise = distort(gray, [(name, 0.5)], 0) - 0.5
    stated = amount(name, 0.5)
    if name == "uniform_white_noise":
        assert np.abs(noise).max() == pytest.approx(stated, rel=1e-3)
        assert noise.std() == pytest.approx(stated / np.sqrt(3), rel=0.01)
    elif name == "checkerboard":
        for channel in np.moveaxis(noise, 2, 0):
            low, high = np.unique(np.round(channel, 6))
            assert low == pytest.approx(-high, abs=1e-6) and 0.4 * stated <= high <= stated
    else:
        assert noise.std() == pytest.approx(stated, rel=0.01)


def slope_of(noise: np.ndarray) -> float:
    """The exponent of the power spectrum of a square image, from a line through the mean power of rings."""
    side = len(noise)
    power = np.abs(np.fft.fft2(noise)) ** 2
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)) * side
    rings = np.digitize(frequency, np.geomspace(4, side / 2, 20))
    means = [(frequency[rings == ring].mean(), power[rings == ring].mean()) for ring in range(1, 20)]
    return np.polyfit(*np.log(means).T, 1)[0]


@pytest.mark.parametrize(
    ("name", "slope"), [("gaussian_white_noise", 0), ("gaussian_pink_noise", -1), ("gaussian_blue_noise", 1)]
)
def test_spectra_of_noises_have_their_slopes(name, slope):
    noise = distort(np.full((256, 256, 3), 0.5, np.float32), [(name, 0.4)], 0) - 0.5
    assert [slope_of(channel) for channel in np.moveaxis(noise, 2, 0)] == pytest.approx([slope] * 3, abs=0.2)


@pytest.mark.parametrize("slope", [-2, -1.3, 0.6, 2])  # from violet to brown
def test_colored_noise_has_the_spectrum_of_its_slope(slope):
    noise = colored_noise((256, 256, 3), slope, np.random.default_rng(0))
    assert [slope_of(channel) for channel in np.moveaxis(noise, 2, 0)] == pytest.approx([-slope] * 3, abs=0.2)
    assert noise.mean(axis=(0, 1)) == pytest.approx(0, abs=1e-12)
    assert noise.std(axis=(0, 1)) == pytest.approx(1)


def test_the_random_color_is_between_violet_and_brown():
    gray = np.full((128, 128, 3), 0.5, np.float32)
    slopes = [slope_of((distort(gray, [("gaussian_colored_noise", 0.4)], s) - 0.5)[..., 0]) for s in range(12)]
    drawn = [-np.random.default_rng(s).uniform(-2, 2) for s in range(12)]
    assert slopes == pytest.approx(drawn, abs=0.3)
    assert min(drawn) < -1 and max(drawn) > 1
