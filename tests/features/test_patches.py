"""How many images are worked on at once, and what is computed of images that are not 64 x 64."""

import numpy as np
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.features.patches import at_once, to_images
from lpips_repro.features.stored import stored_features
from tests.datasets.folders import noise_split
from tests.training.tiny import CPU


def test_images_at_once_have_as_many_pixels_whatever_their_size(tmp_path):
    sizes = {"a": (64, 64), "b": (128, 128), "c": (32, 64), "d": (700, 700)}
    splits = {name: noise_split(tmp_path / name, 1, size) for name, size in sizes.items()}
    assert {name: at_once(25, split) for name, split in splits.items()} == {"a": 25, "b": 6, "c": 50, "d": 1}


def test_stored_features_of_images_of_another_size_add_up_to_their_distances(tmp_path):
    split, metric = (
        noise_split(tmp_path / "split", 3, (40, 52)),
        LPIPS("squeeze", "off_the_shelf", weights=gaussian_state("squeeze", 0)),
    )
    found = stored_features(metric, split, tmp_path / "features", "float32", CPU, noise=False)
    with torch.inference_mode():
        expected = metric.triplet(*(to_images(split.arrays[name], CPU) for name in ("ref", "p0", "p1")))
    np.testing.assert_allclose(found.mean.sum(axis=2).T, torch.stack(expected), rtol=1e-4)
