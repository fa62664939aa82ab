import numpy as np
import pytest

from lpips_repro.datasets.mini.photographs import draw_patch
from lpips_repro.distortions import DISTORTIONS, Step, distort, draw_steps
from lpips_repro.errors import UserError

GROUPS = {"photometric", "noise", "blur", "spatial", "compression"}
every_distortion = pytest.mark.parametrize("name", sorted(DISTORTIONS))


@pytest.fixture(scope="module")
def patch() -> np.ndarray:
    return draw_patch("train", np.random.default_rng(1))


def mean_error(patch: np.ndarray, name: str, severity: float) -> float:
    """Over eight draws: direction and colour of the noise matter as much as severity in a single one."""
    draws = [distort(patch, [Step(name, severity)], np.random.default_rng(seed)) for seed in range(8)]
    return float(np.mean([np.abs(draw - patch).mean() for draw in draws]))


def test_the_papers_twenty_are_there_in_its_five_groups():
    assert len(DISTORTIONS) == 20
    assert {distortion.group for distortion in DISTORTIONS.values()} == GROUPS


@every_distortion
def test_severity_zero_is_almost_no_change(patch, name):
    assert mean_error(patch, name, 0.0) < 0.004


@every_distortion
def test_mean_error_grows_with_severity(patch, name):
    errors = [mean_error(patch, name, severity) for severity in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert np.all(np.diff(errors) > 0)
    assert errors[-1] > 0.02


@every_distortion
@pytest.mark.parametrize("shape", [(64, 64, 3), (37, 90, 3)])
def test_shape_type_and_range_hold_and_the_input_is_not_written_to(name, shape):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    before = image.copy()
    for severity in (0.0, 0.4, 1.0):
        result = distort(image, [Step(name, severity)], np.random.default_rng(0))
        assert (result.shape, result.dtype) == (shape, np.float32)
        assert result.min() >= 0
        assert result.max() <= 1
    assert np.array_equal(image, before)


@every_distortion
def test_the_generator_decides(patch, name):
    first, again = (distort(patch, [Step(name, 0.7)], np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, again)


def test_a_pair_is_applied_in_its_order(patch):
    steps = [Step("gaussian_white_noise", 0.8), Step("gaussian_blur", 0.8)]
    noise_first = distort(patch, steps, np.random.default_rng(0))
    blur_first = distort(patch, steps[::-1], np.random.default_rng(0))
    assert np.abs(np.diff(blur_first, axis=0)).mean() > 2 * np.abs(np.diff(noise_first, axis=0)).mean()


def test_draws_are_single_or_pairs_of_two_groups_within_the_severities():
    rng = np.random.default_rng(0)
    drawn = [draw_steps(rng, 0.2, 0.6) for _ in range(400)]
    assert {len(steps) for steps in drawn} == {1, 2}
    assert {step.name for steps in drawn for step in steps} == set(DISTORTIONS)
    assert all(0.2 <= step.severity <= 0.6 for steps in drawn for step in steps)
    pairs = [{DISTORTIONS[step.name].group for step in steps} for steps in drawn if len(steps) == 2]
    assert all(len(groups) == 2 for groups in pairs)


@pytest.mark.parametrize(
    ("image", "step", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), Step("jpeg", 0.5), "uint8"),
        (np.zeros((3, 8, 8)), Step("jpeg", 0.5), r"\(3, 8, 8\)"),
        (np.full((8, 8, 3), 200.0), Step("jpeg", 0.5), "200"),
        (np.full((8, 8, 3), np.nan), Step("jpeg", 0.5), "nan"),
        (np.zeros((8, 8, 3)), Step("jpg", 0.5), "'jpg'"),
        (np.zeros((8, 8, 3)), Step("jpeg", 1.5), "1.5"),
    ],
)
def test_what_cannot_be_distorted_is_named(image, step, message):
    with pytest.raises(UserError, match=message):
        distort(image, [step], np.random.default_rng(0))
