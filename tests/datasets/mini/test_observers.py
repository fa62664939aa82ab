import numpy as np
import pytest

from lpips_repro.datasets.mini.observers import choose_probability, perceptual_distance, same_probability, vote
from lpips_repro.datasets.mini.photographs import crop_margin, draw_patch
from lpips_repro.distortions import Step, distort


@pytest.fixture(scope="module")
def patches() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [draw_patch("val", rng) for _ in range(12)]


def pixels(images: list[np.ndarray]) -> np.ndarray:
    return np.stack([np.rint(crop_margin(image) * 255).astype(np.uint8) for image in images])


def distorted(patches: list[np.ndarray], name: str, severity: float) -> np.ndarray:
    return pixels([distort(patch, [Step(name, severity)], np.random.default_rng(0)) for patch in patches])


@pytest.mark.parametrize("name", ["gaussian_blur", "gaussian_white_noise", "jpeg", "color_shift", "cubic_warp"])
def test_the_clearly_less_distorted_patch_is_preferred(patches, name):
    reference = pixels(patches)
    mild = perceptual_distance(reference, distorted(patches, name, 0.1))
    strong = perceptual_distance(reference, distorted(patches, name, 0.9))
    assert np.all(choose_probability(mild, strong) < 0.15)
    assert np.all(choose_probability(strong, mild) > 0.85)


def test_the_distance_is_zero_at_equality_and_symmetric(patches):
    reference, other = pixels(patches), distorted(patches, "jpeg", 0.6)
    assert np.all(perceptual_distance(reference, reference) == 0)
    np.testing.assert_allclose(perceptual_distance(reference, other), perceptual_distance(other, reference))


def test_the_distance_of_a_pair_does_not_depend_on_its_batch(patches):
    reference, other = pixels(patches), distorted(patches, "shift", 0.5)
    alone = [perceptual_distance(x[None], y[None])[0] for x, y in zip(reference, other, strict=True)]
    assert np.array_equal(perceptual_distance(reference, other), alone)


def test_a_shift_disturbs_less_than_noise_of_the_same_mean_square(patches):
    reference, moved = pixels(patches), distorted(patches, "shift", 0.3)
    power = np.square(moved - reference.astype(float)).mean(axis=(1, 2, 3), keepdims=True)
    noise = np.random.default_rng(0).standard_normal(reference.shape) * np.sqrt(power)
    noisy = np.rint(reference + noise).clip(0, 255).astype(np.uint8)
    assert np.mean(perceptual_distance(reference, moved) < perceptual_distance(reference, noisy)) > 0.8


def test_equal_distances_are_a_toss_up():
    assert choose_probability(np.array([0.0, 0.7]), np.array([0.0, 0.7])) == pytest.approx(0.5)


def test_same_is_answered_less_the_larger_the_distance():
    probability = same_probability(np.linspace(0, 2, 50))
    assert probability[0] == pytest.approx(0.98)
    assert probability[-1] == pytest.approx(0.02)
    assert np.all(np.diff(probability) <= 0)


@pytest.mark.parametrize("votes", [2, 3, 5])
def test_shares_are_whole_votes_about_the_probability(votes):
    shares = vote(np.full(4000, 0.3), votes, np.random.default_rng(0))
    assert shares.dtype == np.float32
    assert set(np.rint(shares * votes)) <= set(range(votes + 1))
    np.testing.assert_allclose(shares * votes, np.rint(shares * votes), atol=1e-6)
    assert shares.mean() == pytest.approx(0.3, abs=0.03)
