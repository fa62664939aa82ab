import itertools
from collections import Counter

import numpy as np
import pytest

from lpips_repro.datasets.mini.photographs import draw_patch
from lpips_repro.distortions import DISTORTIONS, Amount, Step, distort, draw_steps, pairs_across_groups, paper_pairs
from lpips_repro.errors import UserError

GROUPS = {"photometric", "noise", "blur", "spatial", "compression"}
every_distortion = pytest.mark.parametrize("name", sorted(DISTORTIONS))


@pytest.fixture(scope="module")
def patch() -> np.ndarray:
    return draw_patch("train", np.random.default_rng(1))


def mean_l2(patch: np.ndarray, name: str, severity: float) -> float:
    """The mean over eight draws: in a single draw, direction and color of noise matter as much as severity."""
    draws = [distort(patch, [Step(name, severity)], np.random.default_rng(seed)) for seed in range(8)]
    return float(np.sqrt(np.mean([np.square(draw - patch).mean() for draw in draws])))


def test_there_are_the_papers_twenty_distortions_in_its_five_groups():
    assert len(DISTORTIONS) == 20
    assert {distortion.group for distortion in DISTORTIONS.values()} == GROUPS


def test_the_308_pairs_have_no_two_noises_and_no_two_spatial_distortions():
    pairs = paper_pairs()
    assert len(pairs) == len(set(pairs)) == 308
    assert pairs == sorted(pairs)
    group = {name: distortion.group for name, distortion in DISTORTIONS.items()}
    left_out = {(group[one], group[two]) for one, two in itertools.permutations(DISTORTIONS, 2)} - {
        (group[one], group[two]) for one, two in pairs
    }
    assert left_out == {("noise", "noise"), ("spatial", "spatial")}
    within = [pair for pair in pairs if group[pair[0]] == group[pair[1]]]
    assert Counter(group[one] for one, _ in within) == {"photometric": 4 * 3, "blur": 2}
    across = pairs_across_groups()
    assert len(across) == 294
    assert sorted({*across} | {*within}) == pairs


IDENTITY = {"jpeg": 0.005, "lightness_shift": 0.002, "color_shift": 0.002, "saturation": 0.002}


@every_distortion
def test_severity_zero_is_the_identity_or_as_near_as_documented(patch, name):
    assert mean_l2(patch, name, 0.0) <= IDENTITY.get(name, 1e-6)


@every_distortion
def test_mean_l2_grows_with_severity(patch, name):
    errors = [mean_l2(patch, name, severity) for severity in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    assert np.all(np.diff(errors) > 0)
    assert errors[-1] > 0.02


@every_distortion
def test_every_severity_is_stated_in_physical_units_and_every_distortion_described(name):
    distortion = DISTORTIONS[name]
    assert distortion.description.endswith(".")
    for amount in distortion.amounts:
        assert amount.name and amount.unit
        assert (amount.at(0), amount.at(1)) == pytest.approx((amount.at_zero, amount.at_one))
        steps = np.diff([amount.at(severity) for severity in (0, 0.25, 0.5, 0.75, 1)])
        assert np.all(steps > 0) or np.all(steps < 0)
    assert distortion.amounts


def test_a_geometric_amount_multiplies_and_a_whole_one_is_rounded():
    assert Amount("factor", "", 1, 4, geometric=True).at(0.5) == pytest.approx(2)
    assert Amount("factor", "", 1, 4).at(0.5) == pytest.approx(2.5)
    quality = Amount("quality", "of 100", 100, 5, geometric=True, whole=True)
    assert quality.text(0.5) == "quality 22 of 100"
    assert quality.range == "quality 100 to 5 of 100 in equal ratios"
    assert Amount("sigma", "px", 0, 3.2).range == "sigma 0 to 3.2 px"


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
def test_equal_generators_give_equal_results(patch, name):
    first, again = (distort(patch, [Step(name, 0.7)], np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, again)


def test_a_pair_is_applied_in_its_order(patch):
    steps = [Step("gaussian_white_noise", 0.8), Step("gaussian_blur", 0.8)]
    noise_first = distort(patch, steps, np.random.default_rng(0))
    blur_first = distort(patch, steps[::-1], np.random.default_rng(0))
    assert np.abs(np.diff(blur_first, axis=0)).mean() > 2 * np.abs(np.diff(noise_first, axis=0)).mean()


@pytest.mark.parametrize("pairs", [paper_pairs(), pairs_across_groups()])
def test_draws_are_single_or_allowed_pairs_within_the_severities(pairs):
    rng = np.random.default_rng(0)
    drawn = [draw_steps(rng, 0.2, 0.6, pairs) for _ in range(2500)]
    assert {len(steps) for steps in drawn} == {1, 2}
    assert {step.name for steps in drawn for step in steps} == set(DISTORTIONS)
    assert all(0.2 <= step.severity <= 0.6 for steps in drawn for step in steps)
    found = {tuple(step.name for step in steps) for steps in drawn if len(steps) == 2}
    assert found <= {*pairs}
    assert len(found) > 0.95 * len(pairs)


def test_a_seed_gives_the_result_of_its_generator(patch):
    steps = [("gaussian_white_noise", 0.5), ("shift", 0.5)]
    assert np.array_equal(distort(patch, steps, 7), distort(patch, steps, np.random.default_rng(7)))


@every_distortion
@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 300, 3), (201, 8, 3)])
def test_small_thin_and_flat_images_work(name, shape):
    for image in (np.random.default_rng(0).random(shape), np.full(shape, 0.5), np.zeros(shape), np.ones(shape)):
        result = distort(image, [(name, 1.0)], 3)
        assert result.shape == shape and np.isfinite(result).all()
        assert result.min() >= 0 and result.max() <= 1


@pytest.mark.parametrize(
    ("image", "step", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), Step("jpeg", 0.5), "uint8"),
        (np.zeros((3, 8, 8)), Step("jpeg", 0.5), r"\(3, 8, 8\)"),
        (np.full((8, 8, 3), 200.0), Step("jpeg", 0.5), "200"),
        (np.full((8, 8, 3), np.nan), Step("jpeg", 0.5), "nan"),
        (np.zeros((8, 8, 3)), Step("jpg", 0.5), "'jpg': expected one of .*: did you mean jpeg"),
        (np.zeros((7, 9, 3)), Step("jpeg", 0.5), "9 x 7 pixels: expected 8 to 32766 per side"),
        (np.zeros((8, 32767, 3)), Step("shift", 0.5), "32767 x 8 pixels"),
        (np.zeros((0, 0, 3)), Step("jpeg", 0.5), "0 x 0 pixels"),
        (np.zeros((8, 8, 3)), Step("jpeg", np.nan), "severity nan"),
        (np.zeros((8, 8, 3)), Step("jpeg", 1.5), "1.5"),
        (np.zeros((8, 8, 3)), Step("jpeg", "0.5"), "severity 0.5 of jpeg: expected a number"),
        (np.zeros((8, 8, 3)), "jpeg", r"steps have 'jpeg': expected .* as in \[\('jpeg', 0.5\)\]"),
    ],
)
def test_invalid_arguments_are_named(image, step, message):
    with pytest.raises(UserError, match=message):
        distort(image, [step], np.random.default_rng(0))
