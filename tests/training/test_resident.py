"""Which triplets are kept in the memory of a GPU, seen without one: see `tests.fake_cuda`."""

import numpy as np
import pytest
import torch

from lpips_repro.training.concatenated import ConcatenatedArrays
from lpips_repro.training.triplets import RESIDENT_SHARE, FeatureTriplets, ImageTriplets, SplitFeatures, keep_what_fits
from tests.fake_cuda import CUDA, asynchronous_copies, fake_gpu
from tests.training.tiny import CPU

IMAGES = 3 * 64 * 64 * 3  # bytes of a triplet
FEATURES = 2 * 2 * 10 * 4  # of ten channels in float32: mean and noise of two pairs


def on_images(splits):
    return ImageTriplets(splits, CUDA)


def on_features(splits):
    stored = [SplitFeatures(*np.zeros((2, len(split), 2, 10), np.float32), 1.0) for split in splits]
    return FeatureTriplets(splits, CUDA, stored)


def kept(triplets):
    return {field.on_device is not None for field in triplets.fields}


@pytest.mark.parametrize(("make", "size"), [(on_images, IMAGES), (on_features, FEATURES)])
@pytest.mark.parametrize(
    ("room", "wanted"),  # 40 triplets to learn from, 12 and 10 to validate on
    [(62, (True, True)), (61, (True, False)), (40, (True, False)), (39, (False, True)), (21, (False, False))],
)
def test_what_fits_in_the_free_memory_is_kept_on_the_gpu(splits, make, size, room, wanted, monkeypatch, caplog):
    free = int(room * size / RESIDENT_SHARE) + 1
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10 * free))
    with fake_gpu(), asynchronous_copies(), caplog.at_level("INFO"):
        train, val = make(splits["train"]), [make([split]) for split in splits["val"]]
        keep_what_fits(CUDA, {"training": [train], "validation": val})
    assert [kept(triplets) for triplets in (train, *val)] == [{wanted[0]}, {wanted[1]}, {wanted[1]}]
    words = {True: "kept in the GPU's memory", False: "sent batch by batch"}
    assert [message.rpartition(": ")[2] for message in caplog.messages] == [words[fits] for fits in wanted]
    assert "training triplets: 0.00 GB, room for 0.00 GB on the GPU" in caplog.messages[0]


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("noise", [True, False])
def test_triplets_asked_to_be_resident_are_kept_and_give_the_same_batches(splits, resident, noise):
    rng = np.random.default_rng(0)
    stored = [
        SplitFeatures(
            rng.random((len(split), 2, 10), np.float32), rng.random((len(split), 2, 10)) if noise else None, 1
        )
        for split in splits["train"]
    ]
    numbers = np.array([39, 0, 22])
    for make in (ImageTriplets, lambda splits, device, **how: FeatureTriplets(splits, device, stored, **how)):
        triplets, others = make(splits["train"], CPU, resident=resident), make(splits["train"], CPU)
        assert kept(triplets) == {resident}
        assert kept(others) == {False}
        for one, other in zip(triplets.batch(numbers), others.batch(numbers), strict=True):
            assert (one is None and other is None) or torch.equal(one, other)


def test_on_a_cpu_memory_maps_stay_what_they_are(splits, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1e12, 1e12))
    train = ImageTriplets(splits["train"], CPU)
    keep_what_fits(CPU, {"training": [train]})
    assert kept(train) == {False}


def test_validation_without_noise_takes_half_of_the_memory(splits):
    split = splits["val"][0]
    stored = SplitFeatures(np.zeros((len(split), 2, 10), np.float32), None, 1.0)
    assert FeatureTriplets([split], CPU, [stored]).nbytes == len(split) * FEATURES // 2


def test_rows_on_the_device_are_those_of_the_arrays():
    arrays = [np.arange(12, dtype=np.float16).reshape(6, 2), np.arange(4, dtype=np.float16).reshape(2, 2)]
    rows = ConcatenatedArrays(arrays, CPU)
    assert rows.nbytes == 32
    before = rows[np.array([7, 0, 5])]
    rows.keep_on_device()
    assert torch.equal(rows[np.array([7, 0, 5])], before)
