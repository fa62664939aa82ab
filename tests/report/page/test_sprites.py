"""Files with many images."""

import json

import numpy as np
import pytest
from PIL import Image

from lpips_repro.report.page import sprites
from lpips_repro.report.page.sprites import estimated_size, layout_of, triplet_sheets, write_sheets
from tests.datasets.folders import noise_split


@pytest.fixture
def split(tmp_path):
    return noise_split(tmp_path / "packed", 70, (16, 24))


def cell(folder, sheet, index):
    """The cell of an example, cropped as the page does."""
    place = sheet.indices.tolist().index(index)
    layout = sheet.layout
    with Image.open(folder / f"{sheet.name}.webp") as image:
        left, top = place % layout.across * layout.width, place // layout.across * layout.height
        return np.asarray(image.convert("RGB").crop((left, top, left + layout.width, top + layout.height)))


def test_images_are_lossless(tmp_path, split):
    sheets = triplet_sheets(split, np.arange(70))
    assert [len(sheet.indices) for sheet in sheets] == [64, 6]
    assert write_sheets(tmp_path, sheets, "images") == 2
    for sheet, index in ((sheets[0], 0), (sheets[0], 13), (sheets[0], 63), (sheets[1], 69)):
        triplet = [split.arrays[name][index] for name in ("ref", "p0", "p1")]
        assert np.array_equal(cell(tmp_path, sheet, index), np.concatenate(triplet, axis=1))


def test_existing_files_are_reused_and_interrupted_writing_resumes(tmp_path, split, monkeypatch):
    sheets = triplet_sheets(split, np.arange(70))
    written, real = [], sprites.write_whole

    def fails(path, content):
        if written:
            raise OSError("the disk is full")
        written.append(path.name)
        real(path, content)

    monkeypatch.setattr(sprites, "available_cores", lambda: 1)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="the disk is full"):
        patch.setattr(sprites, "write_whole", fails)
        write_sheets(tmp_path, sheets, "images")
    assert [path.name for path in tmp_path.glob("*.webp")] == written
    assert write_sheets(tmp_path, sheets, "images") == 1
    assert write_sheets(tmp_path, triplet_sheets(split, np.arange(64)), "images") == 0
    assert write_sheets(tmp_path, triplet_sheets(split, np.arange(1, 65)), "images") == 1


def test_other_images_have_another_file_name(tmp_path, split):
    other = noise_split(tmp_path / "other", 69, (16, 24))
    names = [triplet_sheets(one, np.arange(60))[0].name for one in (split, other)]
    assert names[0] != names[1]


@pytest.mark.parametrize("size", [(64, 64), (256, 256), (512, 768), (1, 16000), (16000, 1), (6000, 6000)])
def test_no_file_is_larger_than_the_format_allows(size):
    layout = layout_of(size[0], min(3 * size[1], sprites.LARGEST))
    rows = -(-layout.each // layout.across)
    assert layout.across * layout.width <= sprites.LARGEST and rows * layout.height <= sprites.LARGEST
    assert layout.each == 64 or layout.each * layout.width * layout.height <= max(
        sprites.PIXELS, layout.width * layout.height
    )


def test_the_size_can_be_estimated_before_writing(tmp_path, split):
    estimate = estimated_size(split, np.arange(70))
    write_sheets(tmp_path / "images", triplet_sheets(split, np.arange(70)), "images")
    size = sum(path.stat().st_size for path in (tmp_path / "images").iterdir())
    assert estimate == pytest.approx(size, rel=0.1)
    assert estimated_size(split, np.arange(0)) == 0


def test_numbers_of_examples_are_written_next_to_their_images(tmp_path, split):
    def render(indices):
        return np.zeros((len(indices), 4, 4, 3), np.uint8), [float(index) for index in indices]

    (sheet,) = sprites.sheets_of(split, np.array([3, 5]), layout_of(4, 4), render, {"of": "x"}, numbered=True)
    write_sheets(tmp_path, [sheet], "maps")
    assert sprites.numbers_of(tmp_path, sheet) == [3.0, 5.0]
    assert json.loads((tmp_path / f"{sheet.name}.json").read_text()) == [3.0, 5.0]


@pytest.mark.parametrize("damage", ["lost", "[3.0, ", "5", '["a"]', "[" * 100_000])
def test_missing_or_damaged_numbers_are_written_again(tmp_path, split, damage):
    def render(indices):
        return np.zeros((len(indices), 4, 4, 3), np.uint8), [float(index) for index in indices]

    (sheet,) = sprites.sheets_of(split, np.array([3, 5]), layout_of(4, 4), render, {"of": "x"}, numbered=True)
    write_sheets(tmp_path, [sheet], "maps")
    numbers = tmp_path / f"{sheet.name}.json"
    if damage == "lost":
        numbers.unlink()
    else:
        numbers.write_text(damage)
    assert write_sheets(tmp_path, [sheet], "maps") == 1
    assert sprites.numbers_of(tmp_path, sheet) == [3.0, 5.0]
    assert write_sheets(tmp_path, [sheet], "maps") == 0
