"""Failures are summarized in few lines: one per method, per image or per pair."""

import itertools
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lpips_repro.cli.failures import failures_of, lines_of
from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.score import Scored
from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods import published
from tests.cli.conftest import NET, write_image

SMALL = "takes images of at least 40 pixels"
SIZES = "{1}: not of the size of {0}: --resize HxW scales all images"


def pairs_of(*names, square=True, **faults):
    """Pairs of all names, or of the first one with the others; faults: {label: (fails(ref, image), reason)}."""
    pairs = itertools.product(names, names) if square else ((names[0], name) for name in names[1:])
    scored = [Scored(Pair(Path(ref), Path(image))) for ref, image in pairs]
    for one in scored:
        ref, image = str(one.pair.ref), str(one.pair.image)
        one.faults = {k: reason.format(ref, image) for k, (fails, reason) in faults.items() if fails(ref, image)}
    return scored


def test_a_method_that_fails_with_all_pairs_is_one_line():
    scored = pairs_of(*"abcd", srsim=(lambda ref, image: True, SMALL))
    assert lines_of(scored, {}) == [f"srsim: {SMALL} (all 16 pairs)"]


def test_an_image_that_fails_with_all_others_is_one_line():
    scored = pairs_of(*"abcd", vif=(lambda ref, image: "c" in (ref, image), "the value is NaN"))
    assert lines_of(scored, {}) == ["vif: c: the value is NaN"]


def test_each_image_that_fails_with_one_reference_is_named():
    scored = pairs_of(*"rabc", square=False, vif=(lambda ref, image: image in "ab", "the value is NaN"))
    assert lines_of(scored, {}) == ["vif: a: the value is NaN", "vif: b: the value is NaN"]


def test_a_file_that_cannot_be_read_is_named_once():
    for name, names in (("a", "abc"), ("c", "abc")):
        broken = pairs_of(*names)
        for one in broken:
            is_in = name in map(str, (one.pair.ref, one.pair.image))
            one.faults = {"": f"{name}: not a readable image"} if is_in else {}
        assert lines_of(broken, {}) == [f"{name}: not a readable image"]


def test_an_image_of_another_size_is_one_line_of_a_matrix():
    scored = pairs_of(*"abcd", **{"": (lambda ref, image: (ref == "b") != (image == "b"), SIZES)})
    assert lines_of(scored, {}) == [SIZES.format("a", "b") + " (and 5 more with b)"]


def test_two_sizes_give_a_line_per_image_and_not_per_pair():
    scored = pairs_of(*"abcde", **{"": (lambda ref, image: (ref < "c") != (image < "c"), SIZES)})
    assert [line.rpartition(" ")[2] for line in lines_of(scored, {})] == ["a)", "b)"]


@pytest.mark.parametrize("reason", [SIZES, "{1}: 9 x 8 pixels, {0} has 7 x 6: expected one size"])
def test_many_sizes_are_a_few_lines_and_a_number(reason):
    scored = pairs_of(*"abcdefgh", **{"": (lambda ref, image: ref != image, reason)})
    for k, one in enumerate(scored):
        one.faults = {label: fault.replace("9 x 8", f"{k} x 8") for label, fault in one.faults.items()}
    *lines, last = lines_of(scored, {})
    assert [line.rpartition(" ")[2] for line in lines] == ["b)", "a)", "c)"]
    assert last == "4 more images fail the same way: all 56 pairs: --format json"


def test_many_pairs_without_a_common_image_are_all_named():
    scored = [Scored(Pair(Path(f"r{k}"), Path(f"i{k}"))) for k in range(9)]
    for one in scored:
        one.faults = {"": SIZES.format(one.pair.ref, one.pair.image)}
    assert lines_of(scored, {}) == [one.faults[""] for one in scored]


def test_every_failed_pair_has_a_record():
    scored = pairs_of(*"ab", vif=(lambda ref, image: ref == "a", "the value is NaN"))
    assert failures_of(scored, {"dists": "no weights"}) == [
        {"ref": None, "image": None, "metric": "dists", "reason": "no weights"},
        {"ref": "a", "image": "a", "metric": "vif", "reason": "the value is NaN"},
        {"ref": "a", "image": "b", "metric": "vif", "reason": "the value is NaN"},
    ]


def test_a_matrix_of_images_that_are_too_small_for_a_metric_is_one_line(command, tmp_path):
    pytest.importorskip("piq")
    for k in range(4):
        write_image(tmp_path / "images" / f"{k}.png", k, (31, 33))
    ended = command("matrix", tmp_path / "images", "-m", "l2-rgb", "-m", "piq/srsim", "--format", "json", "-q")
    assert ended.status == 1 and len(json.loads(ended.out)["results"]) == 16
    assert len(json.loads(ended.out)["failed"]) == 16
    (line,) = ended.err.splitlines()
    assert line.startswith("failed: piq/srsim: ") and line.endswith("31x33 (all 16 pairs)")


@pytest.fixture
def without_weights(monkeypatch):
    """Networks without ImageNet weights."""

    def missing(*_):
        raise UserError("no weights")

    monkeypatch.setattr(published, "backbone_state", missing)


@pytest.mark.parametrize("style", ["json", "jsonl", "csv", "table"])
def test_a_method_that_cannot_be_loaded_does_not_stop_the_others(command, folders, without_weights, monkeypatch, style):
    monkeypatch.setitem(sys.modules, "piq", None)
    names = ["-m", "alex", "-m", "l2-rgb", "-m", "piq/vsi"]
    ended = command("dirs", *folders, *names, "--format", style, "-q")
    assert ended.status == 1
    alex, piq = ended.err.splitlines()
    assert alex == "failed: alex-lin-v0.1: no weights"
    assert piq.startswith("failed: piq/vsi: ") and 'pip install "lpips_repro[later]"' in piq
    assert ended.out.count("l2-rgb") >= 1 and "5.png" in ended.out
    if style == "json":
        content = json.loads(ended.out)
        assert len(content["results"]) == 10
        found = [(one["metric"], one["image"]) for one in content["failed"]]
        assert found == [("alex-lin-v0.1", None), ("piq/vsi", None)]


def test_the_status_is_1_if_the_only_method_cannot_be_loaded(command, folders, without_weights, tmp_path):
    images = [folders[0] / "0.png", folders[1] / "0.png"]
    for words in (["distance", *images], ["matrix", folders[0]], ["map", *images, "-o", tmp_path / "map.png"]):
        ended = command(*words, "-m", "alex", "-q")
        assert (ended.status, ended.out, ended.err) == (1, "", "failed: alex-lin-v0.1: no weights\n")


def test_a_name_that_does_not_exist_ends_before_any_work(command, folders, without_weights):
    ended = command("dirs", *folders, "-m", "alex", "-m", "nonsense", "-q")
    assert (ended.status, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("error: nonsense: no such method")


def test_weights_that_do_not_fit_the_network_are_wrong_usage(command, folders, tmp_path):
    (tmp_path / "x.pth").write_bytes(b"no weights")
    ended = command("dirs", *folders, "-m", NET, "--weights", tmp_path / "x.pth", "-q")
    assert ended.status == 2 and "x.pth" in ended.err


@pytest.mark.parametrize("name", ["piq/haarpsi", "haarpsi", "torchmetrics/visual_information_fidelity"])
def test_a_metric_that_is_not_defined_for_black_images_has_no_value(command, tmp_path, name):
    pytest.importorskip("piq" if "haarpsi" in name else "torchmetrics")
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(black)
    ended = command("distance", black, black, write_image(tmp_path / "b.png", 1), "-m", name, "--format", "json", "-q")
    content = json.loads(ended.out)
    undefined = [one for one in content["failed"] if one["image"] == str(black)]
    assert ended.status == 1 and [one["image"] for one in content["results"] if one["image"] == str(black)] == []
    assert "the metric is not defined for these two images" in undefined[0]["reason"]


@pytest.mark.parametrize("name", ["psnr", "piq/psnr", "torchmetrics/peak_signal_noise_ratio"])
def test_equal_images_have_an_infinite_or_the_largest_psnr(command, tmp_path, name):
    pytest.importorskip(name.partition("/")[0] if "/" in name else "numpy")
    image = write_image(tmp_path / "a.png", 0)
    ended = command("distance", image, image, "-m", name, "--format", "json", "-q")
    (one,) = json.loads(ended.out)["results"]
    assert ended.status == 0 and one["value"] in ("Infinity", 80)


def test_the_same_image_with_8_and_with_16_bits_has_an_infinite_psnr(command, tmp_path):
    image, deep = write_image(tmp_path / "a.png", 0), tmp_path / "deep.png"
    cv2.imwrite(str(deep), cv2.imread(str(image)).astype(np.uint16) * 257)
    ended = command("distance", image, deep, "-m", "psnr", "--format", "json", "-q")
    assert ended.status == 0 and [one["value"] for one in json.loads(ended.out)["results"]] == ["Infinity"]


def test_a_missing_method_is_named_once():
    missing = {"DISTS_pytorch/DISTS": "DISTS_pytorch/DISTS: no weights", "vgg-lin-v0.1": "no weights"}
    assert lines_of([], missing) == ["DISTS_pytorch/DISTS: no weights", "vgg-lin-v0.1: no weights"]
