"""The distances of images from their reference; those of a whole study are in `test_tid2013`."""

import pytest
import torch
from PIL import Image

from lpips_repro.datasets.mos.images import DistortedImage
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances import Distance, of_pairs
from lpips_repro.evaluation.image_distances import ImageDistanceStore, compute_reference
from tests.fake_cuda import note_host_reads

CPU = torch.device("cpu")


def mean_difference(x, y):
    return (x - y).abs().mean(dim=(1, 2, 3))


def distance(pair=mean_difference):
    return Distance(of_pairs(pair), {})


@pytest.fixture
def group(tmp_path):
    """Five images, each as far from their black reference as its number says."""
    Image.new("RGB", (12, 8)).save(tmp_path / "reference.png")
    made = []
    for number in range(5):
        file = tmp_path / f"{number}.png"
        Image.new("RGB", (12, 8), (51 * number,) * 3).save(file)
        made.append(DistortedImage(str(number), tmp_path / "reference.png", file, mos=0.0, type=1, level=1))
    return made


def test_each_image_has_its_own_distance(group):
    values, faults = compute_reference(group, {"mae": distance()}, 8, CPU, batch_size=2)
    assert values["mae"] == pytest.approx({"0": 0.0, "1": 0.2, "2": 0.4, "3": 0.6, "4": 0.8})
    assert not faults


def test_a_method_that_fails_is_named_and_the_others_go_on(group):
    def nan(x, y):
        return torch.where(mean_difference(x, y) > 0.5, float("nan"), mean_difference(x, y))

    def refuse(x, y):
        raise AssertionError("too small\nand so on")

    methods = {"mae": distance(), "nan": distance(nan), "refuse": distance(refuse)}
    values, faults = compute_reference(group, methods, 8, CPU, batch_size=2)
    assert values.keys() == {"mae"}
    assert faults == {"nan": "the distance of 3 is NaN", "refuse": "AssertionError: too small"}


def test_a_float64_metric_keeps_its_digits(group, tmp_path):
    def far(x, y):
        return 1000000 + 0.01 * mean_difference(x, y).double()

    values, _ = compute_reference(group, {"far": distance(far)}, 8, CPU, batch_size=2)
    store, identity = ImageDistanceStore(tmp_path / "store"), {"size": 8}
    store.save("far", identity, values["far"])
    assert store.load("far", identity) == values["far"]
    assert [f"{value:.3f}" for value in values["far"].values()] == [f"1000000.00{n}" for n in (0, 2, 4, 6, 8)]


def test_no_distance_goes_to_the_host_before_the_last_batch_is_begun(group, monkeypatch):
    done = []
    note_host_reads(monkeypatch, done)

    def pair(x, y):
        done.append("pair")
        return mean_difference(x, y)

    compute_reference(group, {"mae": distance(pair)}, 8, CPU, batch_size=2)
    assert done == 5 * ["pair"] + ["to the host"]  # two, two, and one alone


def test_an_image_of_another_size_than_its_reference_is_named(group):
    Image.new("RGB", (8, 8)).save(group[3].distorted)
    with pytest.raises(UserError, match=r"3\.png: 8 x 8 with a smaller side of 8, but its reference"):
        compute_reference(group, {"mae": distance()}, 8, CPU, batch_size=2)
