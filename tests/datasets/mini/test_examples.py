import cv2
import numpy as np
import pytest

from lpips_repro.datasets.mini import color, deblur, examples, frameinterp, superres
from lpips_repro.datasets.mini.autoencoders import CORRUPTIONS, draw_configuration, reconstruct, train_autoencoder
from lpips_repro.datasets.mini.examples import SPLITS, make_example
from lpips_repro.datasets.mini.photographs import LEAST_CONTRAST, PHOTOGRAPHS, crop_margin, draw_patch, load
from lpips_repro.datasets.mini.workers import map_over_processes


@pytest.fixture(scope="module")
def networks():
    with map_over_processes(1) as run:
        return list(run(lambda seed: train_autoencoder(np.random.default_rng(seed), steps=2), range(2)))


def test_train_and_val_photographs_are_disjoint():
    assert not set(PHOTOGRAPHS["train"]) & set(PHOTOGRAPHS["val"])
    assert {load(path).shape[2] for paths in PHOTOGRAPHS.values() for path in paths} == {3}


def test_patches_of_a_phase_come_from_its_photographs_alone(monkeypatch):
    opened = set()
    monkeypatch.setattr("lpips_repro.datasets.mini.photographs.load", lambda path: opened.add(path) or load(path))
    for seed in range(60):
        draw_patch("val", np.random.default_rng(seed))
    assert opened == set(PHOTOGRAPHS["val"])


def test_patches_are_not_flat():
    for seed in range(30):
        patch = draw_patch("train", np.random.default_rng(seed))
        assert crop_margin(patch).mean(axis=2).std() >= LEAST_CONTRAST


@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_an_example_is_its_patches_and_the_same_each_time(split, networks):
    first, again = (make_example(split, 5, 3, networks) for _ in range(2))
    assert len(first) == (2 if split.kind == "jnd" else 3)
    for image, image_again in zip(first, again, strict=True):
        assert (image.shape, image.dtype) == ((64, 64, 3), np.uint8)
        assert np.array_equal(image, image_again)
    for image in first[1:]:
        assert not np.array_equal(image, first[0])
    assert not np.array_equal(make_example(split, 5, 4, networks)[0], first[0])
    assert not np.array_equal(make_example(split, 6, 3, networks)[0], first[0])


def test_catch_pairs_are_identical_and_every_tenth(networks):
    for split in SPLITS:
        if split.kind == "jnd":
            pairs = [make_example(split, 0, index, networks) for index in range(20)]
            equal = [index for index, (first, second) in enumerate(pairs) if np.array_equal(first, second)]
            assert {9, 19} <= set(equal)
            assert all(examples.is_catch(index) == (index in (9, 19)) for index in range(20))


@pytest.mark.parametrize("factor", superres.FACTORS)
@pytest.mark.parametrize("algorithm", superres.ALGORITHMS, ids=lambda function: function.__name__)
def test_superresolution_keeps_size_and_place(algorithm, factor):
    patch = draw_patch("val", np.random.default_rng(2))
    small = patch.reshape(96 // factor, factor, 96 // factor, factor, 3).mean(axis=(1, 3))
    large = algorithm(small, factor)
    assert large.shape == patch.shape
    # Half a pixel of displacement, the usual mistake, costs more than the algorithm gains over none.
    assert np.abs(large - patch).mean() < 1.1 * np.abs(superres.nearest(small, factor) - patch).mean()


@pytest.mark.parametrize("algorithm", deblur.ALGORITHMS, ids=lambda function: function.__name__)
def test_deblurring_sharpens(algorithm):
    patch = draw_patch("val", np.random.default_rng(2)).astype(np.float64)
    kernel = deblur.gaussian_kernel(1.2, 0)
    blurred = cv2.filter2D(patch, -1, kernel)
    restored = algorithm(blurred, kernel, np.random.default_rng(0))
    assert restored.shape == patch.shape
    assert np.isfinite(restored).all()
    if "means" not in algorithm.__name__ and "variation" not in algorithm.__name__:
        assert np.abs(np.diff(restored, axis=0)).mean() > np.abs(np.diff(blurred, axis=0)).mean()


@pytest.mark.parametrize("kernel", [kernel for kernel, _ in deblur.KERNELS], ids=lambda function: function.__name__)
def test_blur_kernels_keep_the_mean_and_the_place(kernel):
    weights = kernel(2.5, 0.7)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-12)


@pytest.mark.parametrize("algorithm", color.ALGORITHMS, ids=lambda function: function.__name__)
def test_colorization_of_one_color_finds_it(algorithm):
    lightness = np.random.default_rng(0).uniform(20, 80, (24, 24)).astype(np.float32)
    rows, columns = np.array([3, 10, 20]), np.array([5, 18, 9])
    colors = np.tile(np.float32([30, -12]), (3, 1))
    spread = algorithm(lightness, color.Hints(rows, columns, colors), np.random.default_rng(0))
    assert spread.shape == (24, 24, 2)
    np.testing.assert_allclose(spread.mean(axis=(0, 1)), [30, -12], atol=0.2)


def test_interpolation_that_follows_a_shift_beats_blending():
    ground = draw_patch("val", np.random.default_rng(4))
    before, middle, after = (np.roll(ground, shift, axis=1) for shift in (-3, 0, 3))
    errors = {
        algorithm.__name__: np.abs(crop_margin(algorithm(before, after)) - crop_margin(middle)).mean()
        for algorithm in frameinterp.ALGORITHMS
    }
    for follower in ("global_shift", "block_matching", "overlapped_block_matching", "inverse_search"):
        assert errors[follower] < 0.5 * errors["blend"]


def test_the_rendered_middle_view_lies_between_the_two():
    left, middle, right = np.split(frameinterp._stereo_views(), 3, axis=2)
    assert np.isfinite(middle).all()
    assert np.abs(middle - left).mean() < np.abs(left - right).mean()
    assert np.abs(middle - right).mean() < np.abs(left - right).mean()


def test_configurations_cover_the_choices():
    drawn = [draw_configuration(np.random.default_rng(seed)) for seed in range(80)]
    assert {configuration.corruption for configuration in drawn} == set(CORRUPTIONS)
    assert {configuration.upsampling for configuration in drawn} == {"nearest", "bilinear", "transposed"}
    assert {configuration.normalization for configuration in drawn} == {"none", "batch", "instance"}
    assert {len(configuration.channels) for configuration in drawn} == {2, 3, 4}


def test_training_brings_the_reconstruction_nearer():
    errors = []
    for steps in (1, 60):
        with map_over_processes(1):
            network = train_autoencoder(np.random.default_rng(8), steps)
        patches = [draw_patch("train", np.random.default_rng(seed)) for seed in range(10)]
        outputs = [reconstruct(network, patch, np.random.default_rng(0)) for patch in patches]
        errors.append(np.mean([np.abs(output - patch).mean() for output, patch in zip(outputs, patches, strict=True)]))
    assert errors[1] < 0.7 * errors[0]
