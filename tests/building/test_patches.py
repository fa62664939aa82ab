"""The choice of patches."""

import numpy as np
import pytest
from skimage.transform import downscale_local_mean

from lpips_repro.building.patches import Crop, cut, find_patch, without_margin
from lpips_repro.config import parse
from lpips_repro.config.building import BuildConfig
from tests.compose import settings


@pytest.fixture(scope="module")
def cfg():
    return parse(settings("build_dataset", "images=x", "out=x"), BuildConfig)


def test_squares_have_a_scale_from_1_to_4_in_the_photograph_and_half_are_mirrored(cfg):
    image = np.random.default_rng(0).integers(0, 256, (25, 35, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    crops = [find_patch(image, cfg, np.random.default_rng(seed)) for seed in range(300)]
    sides = np.array([crop.side for crop in crops])
    assert sides.min() >= 96 and sides.max() <= 384
    assert np.median(sides) == pytest.approx(192, rel=0.15)  # uniform in the logarithm
    assert all(crop.left >= 0 and crop.left + crop.side <= 700 for crop in crops)
    assert all(crop.top >= 0 and crop.top + crop.side <= 500 for crop in crops)
    assert 110 < sum(crop.mirrored for crop in crops) < 190


def test_flat_squares_are_skipped(cfg):
    image = np.full((400, 400, 3), 128, np.uint8)
    assert find_patch(image, cfg, np.random.default_rng(0), tries=50) is None
    image[:200, :200] = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    for seed in range(20):
        crop = find_patch(image, cfg, np.random.default_rng(seed))
        patch = without_margin(cut(image, crop, cfg.padded), cfg.margin)
        assert patch.mean(axis=2).std() >= cfg.contrast


def test_a_photograph_with_the_size_of_a_square_is_used(cfg):
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    crop = find_patch(image, cfg, np.random.default_rng(0))
    assert crop[:3] == (0, 0, 96)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_square_is_scaled_down_by_means_of_areas(dtype):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (200, 300, 3), dtype)
    found = cut(image, Crop(20, 4, 192, False), 96)
    area = image[4:196, 20:212] / np.iinfo(dtype).max
    assert np.abs(found - downscale_local_mean(area, (2, 2, 1))).max() < 1e-6
    assert np.abs(cut(image, Crop(20, 4, 192, True), 96) - found[:, ::-1]).max() < 1e-6
    same = image[6:102, 5:101].astype(np.float32) / np.float32(np.iinfo(dtype).max)
    assert np.array_equal(cut(image, Crop(5, 6, 96, False), 96), same)


def test_a_margin_of_zero_removes_nothing():
    image = np.zeros((64, 64, 3))
    assert without_margin(image, 0).shape == (64, 64, 3)
    assert without_margin(image, 16).shape == (32, 32, 3)
