"""Whole images as a split; the table of a whole study is in `tests/evaluation/test_whole_images.py`."""

import numpy as np
import pytest
import torch
from PIL import Image

from lpips_repro.datasets.mos.images import DistortedImage, digest_images, pixels_of
from lpips_repro.datasets.mos.split import ImageSplit
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Distance, batches_of, compute_distances, of_pairs
from lpips_repro.evaluation.distances.store import DistanceStore
from tests.fake_cuda import note_host_reads

CPU = torch.device("cpu")


def mean_difference(x, y):
    return (x - y).abs().mean(dim=(1, 2, 3))


def distance(pair=mean_difference):
    return Distance(of_pairs(pair), {})


def computed(split, methods, size=2):
    return compute_distances(methods, split, CPU, batches_of(split, CPU, size))


@pytest.fixture
def split(tmp_path):
    """Two references, one black and one white, with images as far away as their numbers say: five, and two."""
    made = []
    for reference, (count, level) in enumerate([(5, 0), (2, 255)]):
        Image.new("RGB", (12, 8), (level,) * 3).save(tmp_path / f"reference{reference}.png")
        for number in range(count):
            file = tmp_path / f"{reference}_{number}.png"
            Image.new("RGB", (12, 8), (abs(level - 51 * number),) * 3).save(file)
            made.append(DistortedImage(file.stem, tmp_path / f"reference{reference}.png", file, 5.0 - number, 1, 1))
    card = {"kind": "mos", "phase": "val", "split": "8", "dataset": "test", "resize": "pil_bilinear"}
    card |= {"observers": "human", "count": len(made), "digest": digest_images(made), "title": "Test", "note": ""}
    return ImageSplit(tmp_path, card, made)


def test_every_reference_is_opened_once_for_the_number_of_pixels(split, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "lpips_repro.datasets.mos.split.pixels_of", lambda *image: opened.append(image) or pixels_of(*image)
    )
    assert [split.pixels, split.pixels] == 2 * [8 * 12]
    assert len(opened) == 2


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
def test_each_image_has_its_own_distance(split, size):
    values, faults = computed(split, {"mae": distance()}, size)
    np.testing.assert_allclose(values["mae"], [[0.0, 0.2, 0.4, 0.6, 0.8, 0.0, 0.2]], atol=1e-6)
    assert not faults


@pytest.mark.parametrize(("start", "size", "batches"), [
    (0, 2, [(0, 2), (2, 4), (4, 5), (5, 7)]),
    (0, 64, [(0, 5), (5, 7)]),
    (3, 64, [(3, 5), (5, 7)]),
    (6, 1, [(6, 7)]),
])  # fmt: skip
def test_no_batch_has_images_of_two_references(split, start, size, batches):
    assert [(items.start, items.stop) for items in split.batches(start, size)] == batches


def test_a_reference_runs_half_as_often_as_its_images(split):
    seen = []

    def measure(x, *others):
        seen.append((len(x), len(others)))
        return torch.stack([mean_difference(x, other) for other in others])

    computed(split, {"mae": Distance(measure, {})}, 4)
    assert seen == [(2, 2), (1, 1), (1, 2)]  # four images, one, two of the other reference


def test_a_batch_has_as_many_images_as_suit_their_size(split):
    assert split.pixels == 12 * 8
    assert batches_of(split, CPU) == split.batches(0, 50 * 64**2 // 96)


def test_a_method_that_fails_is_named_and_the_others_go_on(split):
    def nan(x, y):
        return torch.where(mean_difference(x, y) > 0.5, float("nan"), mean_difference(x, y))

    def refuse(x, y):
        raise AssertionError("too small\nand so on")

    methods = {"mae": distance(), "nan": distance(nan), "refuse": distance(refuse)}
    values, faults = computed(split, methods)
    assert values.keys() == {"mae"}
    assert faults == {"nan": "the distance of image 0_3 is NaN", "refuse": "AssertionError: too small"}


def test_a_float64_metric_keeps_its_digits(split, tmp_path):
    def far(x, y):
        return 1000000 + 0.01 * mean_difference(x, y).double()

    values, _ = computed(split, {"far": distance(far)})
    store = DistanceStore(tmp_path / "store")
    store.save("far", {}, split, {"distance": values["far"][0]})
    (stored,) = store.load("far", {}, split).values()
    np.testing.assert_array_equal(stored, values["far"][0])
    assert [f"{value:.3f}" for value in stored] == [f"1000000.00{n}" for n in (0, 2, 4, 6, 8, 0, 2)]


def test_no_distance_goes_to_the_host_before_the_last_batch_is_begun(split, monkeypatch):
    done = []
    note_host_reads(monkeypatch, done)

    def pair(x, y):
        done.append("pair")
        return mean_difference(x, y)

    computed(split, {"mae": distance(pair)})
    assert done == 7 * ["pair"] + 4 * ["to the host"]  # two, two, and one alone; two


def test_an_image_of_another_size_than_its_reference_is_named(split):
    Image.new("RGB", (8, 8)).save(split.images[3].distorted)
    with pytest.raises(UserError, match=r"3\.png: 8 x 8 with a smaller side of 8, but its reference"):
        computed(split, {"mae": distance()})
