import numpy as np
import pytest
from PIL import Image

from lpips_repro.datasets.mini.photographs import PHOTOGRAPHS
from lpips_repro.errors import UserError
from lpips_repro.photographs import crops as crops_module
from lpips_repro.photographs.crops import HELD_OUT, crop_photograph, split_photographs
from tests.photographs.written import load_crops, write_photographs


def test_without_a_folder_the_validation_photographs_of_mini_are_held_out():
    assert split_photographs(None) == {"train": PHOTOGRAPHS["train"], "held_out": PHOTOGRAPHS["val"]}


def test_every_tenth_photograph_of_a_folder_and_its_folders_is_held_out(tmp_path):
    files = write_photographs(tmp_path, 2 * HELD_OUT + 1)
    (tmp_path / "notes.txt").write_text("no photograph")
    split = split_photographs(tmp_path)
    assert split["held_out"] == [files[9], files[19]]
    assert split["train"] == [file for file in files if file not in split["held_out"]]


def test_of_few_photographs_the_last_one_is_held_out(tmp_path):
    *others, last = write_photographs(tmp_path, 3)
    assert split_photographs(tmp_path) == {"train": others, "held_out": [last]}


@pytest.mark.parametrize("count", [0, 1])
def test_one_photograph_is_not_enough(tmp_path, count):
    write_photographs(tmp_path, count)
    with pytest.raises(UserError, match=f"{count} photographs .*expected at least two"):
        split_photographs(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="absent: no such folder"):
        split_photographs(tmp_path / "absent")


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_more_than_8_bits_per_channel_are_refused(tmp_path, dtype):
    Image.fromarray(np.full((40, 40), 1000, dtype)).save(tmp_path / "deep.tiff")
    with pytest.raises(UserError, match=r"deep\.tiff: more than 8 bits per channel.*convert or remove it"):
        crop_photograph(tmp_path / "deep.tiff", 32, 1, 0)


def test_hidden_files_and_folders_are_no_photographs(tmp_path):
    write_photographs(tmp_path / ".hidden", 1)
    files = write_photographs(tmp_path, 3)
    (tmp_path / "class0/._000.png").write_bytes(b"metadata of another system")
    split = split_photographs(tmp_path)
    assert [*split["train"], *split["held_out"]] == files


def test_of_many_photographs_a_smaller_share_is_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(crops_module, "MOST_HELD_OUT", 2)
    files = write_photographs(tmp_path, 45)
    assert split_photographs(tmp_path)["held_out"] == [files[21], files[43]]


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"a\.png: not a readable image .*restore, convert or remove it"):
        crop_photograph(tmp_path / "a.png", 32, 1, 0)


def test_the_first_crop_is_the_middle_and_all_are_squares_of_the_photograph(tmp_path):
    x, y = np.meshgrid(np.arange(120), np.arange(100))
    Image.fromarray(np.stack([x, y, x], axis=2).astype(np.uint8)).save(tmp_path / "ramp.png")
    first, *others = crop_photograph(tmp_path / "ramp.png", 50, 20, seed=0).astype(float)
    # Each pixel of the first crop is the mean of 2x2: columns 10 to 109 and rows 0 to 99.
    np.testing.assert_allclose(first[5, :, 0], 10.5 + 2 * np.arange(50), atol=1.5)
    np.testing.assert_allclose(first[:, 5, 1], 0.5 + 2 * np.arange(50), atol=1.5)
    slopes = np.array([[crop[25, 40, 0] - crop[25, 10, 0], crop[40, 25, 1] - crop[10, 25, 1]] for crop in others]) / 30
    np.testing.assert_allclose(slopes[:, 0], slopes[:, 1], atol=0.08)  # squares, not stretched
    assert slopes.min() > 0.95
    assert slopes.max() < 2.05
    assert len({crop.tobytes() for crop in others}) == len(others)


def test_a_small_photograph_is_scaled_up(tmp_path):
    Image.new("RGB", (20, 30), (10, 20, 30)).save(tmp_path / "small.png")
    crops = crop_photograph(tmp_path / "small.png", 40, 3, seed=0)
    assert crops.shape == (3, 40, 40, 3)
    assert (crops == (10, 20, 30)).all()


def test_the_orientation_of_a_photograph_is_applied(tmp_path):
    image = Image.new("RGB", (64, 64))
    image.paste((255, 255, 255), (0, 0, 64, 32))  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "turned.png", exif=exif)
    (crop,) = crop_photograph(tmp_path / "turned.png", 64, 1, seed=0)
    assert crop[:30].max() == 0
    assert crop[34:].min() == 255


def test_crops_are_repeatable_and_as_many_as_needed(tmp_path):
    write_photographs(tmp_path, 11)
    first, again = load_crops(tmp_path, 16), load_crops(tmp_path, 16)
    assert first.train.shape == (1000, 16, 16, 3)
    assert first.held_out.shape == (200, 16, 16, 3)
    assert all(np.array_equal(*pair) for pair in zip(first[:2], again[:2], strict=True))
    assert first.digest == again.digest


def test_the_digest_depends_on_the_photographs(tmp_path):
    files = write_photographs(tmp_path, 3)
    before = load_crops(tmp_path, 16).digest
    Image.new("RGB", (90, 70)).save(files[1])
    assert load_crops(tmp_path, 16).digest != before


def test_a_photograph_whose_name_is_not_utf8_is_named(tmp_path):
    file, *_ = write_photographs(tmp_path, 3)
    file.rename(tmp_path / "caf\udce9.png")
    with pytest.raises(UserError, match=r"/caf\\xe9.png: not UTF-8: rename the file or folder"):
        split_photographs(tmp_path)
