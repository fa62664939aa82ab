"""The files that the images of a packed split come from."""

import dataclasses

from lpips_repro.datasets.packed import read_card
from lpips_repro.datasets.packing.file_names import image_files
from lpips_repro.datasets.packing.folders import pack_split
from lpips_repro.datasets.packing.layout import read_split
from lpips_repro.datasets.packing.patches import PatchForm
from tests.datasets.folders import make_split, noise_split


def packed(tmp_path, rename=str):
    folder, *_ = make_split(tmp_path / "data", split="mine", count=3)
    for file in [*folder.glob("*/*")]:
        file.rename(file.with_name(rename(file.stem) + file.suffix))
    files = read_split(folder, "2afc", "val")
    return pack_split(files, tmp_path / "packed", PatchForm(64, "exact"), "t", "human", 1), folder


def names(*stems, field="p1"):
    return [f"2afc/val/mine/{field}/{stem}.png" for stem in stems]


def test_names_of_files_are_noted_and_outlive_the_folder(tmp_path):
    split, folder = packed(tmp_path, lambda stem: f"photo {9 - int(stem)}")
    folder.rename(tmp_path / "gone")
    assert image_files(split)["p1"] == names("photo 7", "photo 8", "photo 9")
    assert [*image_files(split)] == ["ref", "p0", "p1"]


def test_numbers_from_0_are_not_noted_and_known_while_the_folder_is_there(tmp_path):
    split, folder = packed(tmp_path)
    assert "files" not in read_card(split.path)
    assert image_files(split)["ref"] == names("000000", "000001", "000002", field="ref")
    folder.rename(tmp_path / "gone")
    assert image_files(split) == {}


def test_a_split_packed_before_names_were_noted_is_looked_up(tmp_path):
    split, _ = packed(tmp_path, lambda stem: f"{int(stem) + 5}")
    older = dataclasses.replace(split, card={k: v for k, v in split.card.items() if k != "files"})
    assert image_files(older)["p1"] == names("5", "6", "7")


def test_an_archive_has_numbers_from_0_and_what_was_never_a_file_has_no_name(tmp_path):
    split = noise_split(tmp_path / "split", 2, (8, 8))
    assert image_files(split) == {}
    of_archive = dataclasses.replace(split, card=split.card | {"source": {"archive": "a.tar.gz", "sha256": ""}})
    assert image_files(of_archive)["p0"] == ["2afc/val/noise/p0/000000.png", "2afc/val/noise/p0/000001.png"]
