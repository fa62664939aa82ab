"""Collections of triplets: what a batch of them is."""

import numpy as np
import pytest
import torch

from lpips_repro.features.stored import SplitFeatures
from lpips_repro.training.batch import FeatureBatch, ImageBatch
from lpips_repro.training.triplets import FeatureTriplets, ImageTriplets
from tests.test_import_order import graph
from tests.training.tiny import CPU

INDICES = np.array([39, 0, 22, 23])  # 23 triplets of one split, then 17 of another


def test_a_batch_of_images_has_the_triplets_numbered_in_their_order(splits):
    batch = ImageTriplets(splits["train"], CPU).batch(INDICES)
    assert isinstance(batch, ImageBatch)
    cnn, mix = splits["train"]
    for name, images in batch._asdict().items():
        stored = np.stack([split.arrays[name][place] for split, place in ((mix, 16), (cnn, 0), (cnn, 22), (mix, 0))])
        assert torch.equal(images, torch.from_numpy(stored).permute(0, 3, 1, 2) / 127.5 - 1)


@pytest.mark.parametrize("scale", [1.0, 4096.0])
def test_a_batch_of_features_has_the_values_that_were_stored_scaled(splits, scale):
    rng = np.random.default_rng(0)
    features = [SplitFeatures(*rng.random((2, len(split), 2, 3), np.float32), scale) for split in splits["train"]]
    batch = FeatureTriplets(splits["train"], CPU, features).batch(INDICES)
    assert isinstance(batch, FeatureBatch)
    for name, values in batch._asdict().items():
        stored = np.concatenate([getattr(part, name) for part in features])[INDICES]
        assert torch.equal(values, torch.from_numpy(stored) / scale)


def test_features_without_noise_give_batches_without_it(splits):
    split = splits["val"][0]
    batch = FeatureTriplets([split], CPU, [SplitFeatures(np.zeros((len(split), 2, 3)), None, 1.0)]).batch(np.arange(2))
    assert batch.noise is None


def test_collections_of_triplets_know_no_model_and_no_dropout():
    known, left = set(), ["training.triplets"]
    while left:
        new = graph()[left.pop()] - known
        known |= new
        left += new
    assert "training.batch" in known
    assert not known & {f"training.{name}" for name in ("model", "dropout", "ranking", "differences")}
