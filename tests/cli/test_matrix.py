"""A matrix has the distances of its pairs, and each image passes the network of LPIPS once."""

import csv
import io
import json

import pytest

from lpips_repro.backbones import Backbone
from lpips_repro.cli import matrix, session
from tests.cli.conftest import NET, write_image


@pytest.fixture
def images(tmp_path):
    """Seven images of the same size; two of them are equal."""
    return [write_image(tmp_path / "images" / f"{k}.png", k % 6) for k in range(7)]


def values_of(ended):
    found = json.loads(ended.out)["results"]
    return {(one["ref"], one["image"], one["metric"]): one["distance"] for one in found}


@pytest.fixture
def passes(monkeypatch):
    """The number of images that passed a network."""
    counted = [0]
    each_map = Backbone.each_map

    def count(self, images):
        counted[0] += len(images) if images.device.type != "meta" else 0  # "meta" computes only shapes
        return each_map(self, images)

    monkeypatch.setattr(Backbone, "each_map", count)
    return counted


@pytest.mark.parametrize("kept", [matrix.KEPT_BYTES, 4 * 700_000, 1])
def test_it_has_the_distances_of_all_pairs(command, images, monkeypatch, passes, kept):
    monkeypatch.setattr(matrix, "KEPT_BYTES", kept)
    found = values_of(command("matrix", images[0].parent, "-m", NET, "-m", "l2-rgb", "--format", "json"))
    if kept == matrix.KEPT_BYTES > 1e9:
        assert passes[0] == len(images)
    assert len(found) == 2 * 7 * 7
    for ref in images[::5]:
        pairs = values_of(command("distance", ref, *images, "-m", NET, "-m", "l2-rgb", "--format", "json"))
        for key, value in pairs.items():
            assert found[key] == pytest.approx(value, abs=1e-6)
    equal = [value for (ref, image, _), value in found.items() if int(ref[-5]) % 6 == int(image[-5]) % 6]
    assert len(equal) == 2 * 9 and set(equal) == {0.0}


def test_each_image_of_two_folders_passes_once(command, images, tmp_path, passes):
    others = [write_image(tmp_path / "others" / f"{k}.png", 50 + k) for k in range(3)]
    found = values_of(command("matrix", images[0].parent, others[0].parent, "-m", NET, "--format", "json"))
    assert passes[0] == 10
    assert len(found) == 7 * 3
    for ref in images[:2]:
        for key, value in values_of(command("distance", ref, *others, "-m", NET, "--format", "json")).items():
            assert found[key] == pytest.approx(value, abs=1e-6)


def test_a_csv_has_a_row_per_reference(command, images):
    rows = list(csv.reader(io.StringIO(command("matrix", images[0].parent, "-m", NET, "--format", "csv").out)))
    assert rows[0] == ["metric", "ref", *map(str, images)]
    assert [row[1] for row in rows[1:]] == list(map(str, images))
    assert [float(row[2 + k]) for k, row in enumerate(rows[1:])] == [0.0] * 7


def test_images_that_cannot_be_compared_are_named_and_the_others_have_distances(command, images):
    write_image(images[0].with_name("larger.png"), 9, (80, 80))
    images[0].with_name("broken.png").write_bytes(b"no image")
    ended = command("matrix", images[0].parent, "-m", NET, "--format", "json", "-q")
    assert ended.status == 1
    assert len(json.loads(ended.out)["results"]) == 7 * 7 + 1
    lines = ended.err.splitlines()
    assert sum("broken.png: not a readable image" in line for line in lines) == 1
    assert any("larger.png" in line and "--resize HxW" in line for line in lines)
    scaled = command("matrix", images[0].parent, "-m", NET, "--format", "json", "-q", "--resize", "64x64")
    assert len(json.loads(scaled.out)["results"]) == 8 * 8


def test_an_image_that_is_too_small_for_the_network_is_called_the_image(command, tmp_path):
    write_image(tmp_path / "a.png", 0, (10, 10))
    ended = command("matrix", tmp_path, "-m", NET, "-q")
    assert ended.status == 1
    assert ended.err.startswith(f"failed: {tmp_path / 'a.png'}: the image is 10 x 10: expected sides of at least ")


def test_a_matrix_cannot_be_scaled_to_a_reference(command, images):
    ended = command("matrix", images[0].parent, "-m", NET, "--resize", "ref", "-q")
    assert ended.status == 2 and "--resize HxW" in ended.err


def test_a_matrix_that_would_fill_the_memory_is_refused(command, folders, monkeypatch):
    monkeypatch.setattr(session, "MOST_PAIRS", 99)
    ended = command("matrix", *folders, "-m", "l2-rgb", "-q")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("error: 10 x 10 images: 100 pairs: expected at most 99, ")
    monkeypatch.setattr(session, "MOST_PAIRS", 100)
    assert command("matrix", *folders, "-m", "l2-rgb", "-q").status == 0
