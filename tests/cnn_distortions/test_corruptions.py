import numpy as np
import pytest

from lpips_repro.cnn_distortions.corruptions import CORRUPTIONS, corrupt
from tests.cnn_distortions.tiny import smooth_crops

AMOUNTS = [(name, amount) for name, corruption in CORRUPTIONS.items() for amount in corruption.amounts]
# With the amounts below, noise on this picture does not leave [0, 1].
GRAY = np.full((64, 64, 3), 0.5, np.float32)


@pytest.mark.parametrize(("name", "amount"), AMOUNTS)
def test_a_corruption_is_the_same_for_the_same_seed_and_does_not_change_its_input(name, amount):
    image = smooth_crops(1, 30)[0][:, :22].astype(np.float32) / 255
    before = image.copy()
    first, second = (corrupt(image, name, amount, np.random.default_rng(3)) for _ in range(2))
    assert first.dtype == np.float32
    assert first.shape == image.shape
    assert np.array_equal(first, second)
    assert np.array_equal(image, before)
    assert np.array_equal(first, image) == (name == "none")


@pytest.mark.parametrize("name", ["white_noise", "pink_noise"])
@pytest.mark.parametrize("amount", [0.03, 0.2])
def test_the_amount_of_noise_is_its_standard_deviation(name, amount):
    noise = corrupt(GRAY, name, amount, np.random.default_rng(0)) - GRAY
    assert noise.std() == pytest.approx(amount, rel=0.03)  # of 12,288 values: sampling error below 1 %


def test_pink_noise_has_power_as_1_over_frequency():
    noise = corrupt(np.full((256, 256, 3), 0.5, np.float32), "pink_noise", 0.1, np.random.default_rng(0)) - 0.5
    power = np.abs(np.fft.fft2(noise[..., 0])) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    inside = (frequency > 0.02) & (frequency < 0.4)
    slope, _ = np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)
    assert slope == pytest.approx(-1, abs=0.1)


def test_color_removal_leaves_the_luma_of_bt_601():
    image = smooth_crops(1, 16)[0].astype(np.float32) / 255
    gray = corrupt(image, "color_removal", 1.0, np.random.default_rng(0))
    luma = image @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(gray, np.repeat(luma[..., None], 3, axis=2), atol=1e-6)


def test_downsampling_averages_over_squares():
    image = smooth_crops(1, 16)[0].astype(np.float32) / 255
    small = image.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    corrupted = corrupt(image, "downsampling", 2.0, np.random.default_rng(0))
    # Bilinear interpolation: the first pixel is the first square, the second is 3/4 of it and 1/4 of the next one.
    np.testing.assert_allclose(corrupted[0, 0], small[0, 0], atol=1e-6)
    np.testing.assert_allclose(corrupted[0, 1], 0.75 * small[0, 0] + 0.25 * small[0, 1], atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 3), (17, 23, 3)])
def test_downsampling_takes_any_size(shape):
    image = np.full(shape, 0.25, np.float32)
    assert corrupt(image, "downsampling", 4.0, np.random.default_rng(0)) == pytest.approx(image)
