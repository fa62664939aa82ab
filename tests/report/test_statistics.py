import csv

import numpy as np
import pytest
from PIL import Image

from lpips_repro.datasets.bapps.published import COUNTS
from lpips_repro.datasets.commands import fetch_dataset
from lpips_repro.errors import UserError
from lpips_repro.evaluation import human_twoafc, oracle_twoafc
from lpips_repro.report.statistics import contact_sheet, write_statistics
from tests.compose import settings
from tests.datasets.folders import make_split, noise_split
from tests.datasets.small_bapps import make_mirror, small_settings


@pytest.mark.parametrize("observers", ["human", "simulated", "null"])
def test_table_and_sheet_of_a_folder(tmp_path, capsys, observers):
    _, images, votes = make_split(tmp_path / "data", split="mine", count=9)
    _, _, same = make_split(tmp_path / "data", kind="jnd", split="cnn", count=3)
    write_statistics(
        settings(
            "dataset",
            "data=folder",
            f"data.root={tmp_path}/data",
            f"data.packed={tmp_path}/packed",
            f"data.observers={observers}",
            f"experiments={tmp_path}",
        )
    )
    folder = tmp_path / "data-stats-folder"
    with (folder / "stats.csv").open(newline="") as file:
        triplets, pairs = csv.DictReader(file)
    assert (triplets["split"], triplets["count"]) == ("2afc/val/mine", "9")
    assert triplets["agreement 2AFC %"] == f"{100 * human_twoafc(votes):.2f}"
    assert triplets["oracle 2AFC %"] == f"{100 * oracle_twoafc(votes):.2f}"
    assert sum(int(word.rstrip(":")) for word in triplets["votes (share: examples)"].split()[1::2]) == 9
    assert pairs['share "same" %'] == f"{100 * same.mean():.2f}"
    for text in (capsys.readouterr().out, (folder / "stats.md").read_text()):
        assert ("SIMULATED observers" in text) == (observers == "simulated")
        assert ("human observers." in text) == (observers == "human")
        assert ("observers not stated" in text) == (observers == "null")
    with Image.open(folder / "examples.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    first = images["ref"][0].repeat(2, 0).repeat(2, 1)  # shown at twice its size
    assert any(
        np.array_equal(pixels[top : top + 128, left : left + 128], first) for top in range(60) for left in range(20)
    )


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    return make_mirror(tmp_path / "mirror", monkeypatch)


@pytest.fixture
def reads_only(monkeypatch):
    """Fails a test that downloads or packs BAPPS."""
    monkeypatch.setattr("lpips_repro.datasets.bapps.prepare._prepare_phase", lambda *_: pytest.fail("fetches or packs"))


def test_packed_splits_of_bapps_are_described_and_the_others_named(mirror, tmp_path, capsys, caplog, request):
    fetch_dataset(small_settings(mirror, tmp_path, "splits=val"))
    request.getfixturevalue("reads_only")
    capsys.readouterr()
    write_statistics(small_settings(mirror, tmp_path))
    with (tmp_path / "experiments/data-stats-bapps/stats.csv").open(newline="") as file:
        assert [row["split"] for row in csv.DictReader(file)] == ["/".join(key) for key in COUNTS if key[1] == "val"]
    (message,) = (record.message for record in caplog.records if "not packed" in record.message)
    assert message == (
        "not packed, so not described: 2afc/train/traditional, 2afc/train/cnn, 2afc/train/mix:"
        " run `make data SPLITS=train` first (with the same ARGS, if any)"
    )
    with pytest.raises(UserError, match="bapps/exact: no packed split of train: run `make data SPLITS=train`"):
        write_statistics(small_settings(mirror, tmp_path, "splits=train"))


def test_bapps_without_any_split_is_an_error_that_names_the_command(mirror, tmp_path, reads_only):
    with pytest.raises(UserError, match="bapps/exact: no packed split of train or val: run `make data`"):
        write_statistics(small_settings(mirror, tmp_path))
    assert not (tmp_path / "experiments").exists()


def test_mini_is_built_if_it_does_not_exist(tmp_path, capsys):
    few = ("train=1", "val=2", "jnd=2", "autoencoders=2", "autoencoder_steps=1", "workers=1", f"root={tmp_path}/mini")
    overrides = [f"data.{setting}" for setting in few]
    write_statistics(settings("dataset", "data=mini", f"experiments={tmp_path}", *overrides))
    assert "SIMULATED observers" in capsys.readouterr().out
    with (tmp_path / "data-stats-mini/stats.csv").open(newline="") as file:
        assert sum(int(row["count"]) for row in csv.DictReader(file)) == 3 * 1 + 6 * 2 + 2 * 2


def test_statistics_of_another_folder_are_kept(tmp_path, caplog):
    where = ("data=folder", f"data.packed={tmp_path}/packed", f"experiments={tmp_path}/experiments")
    for seed, root in enumerate(("one", "two")):
        make_split(tmp_path / root, split="mine", count=3, seed=seed)
    write_statistics(settings("dataset", *where, f"data.root={tmp_path}/one"))
    first = (tmp_path / "experiments/data-stats-folder/stats.csv").read_bytes()
    write_statistics(settings("dataset", *where, f"data.root={tmp_path}/two"))
    (kept,) = (tmp_path / "experiments").glob("data-stats-folder-*")
    assert (kept / "stats.csv").read_bytes() == first
    assert (kept / "examples.png").is_file()
    assert f"its tables are of other data: kept in {kept}" in caplog.text


def test_the_sheet_has_room_for_images_of_any_size(tmp_path):
    splits = [noise_split(tmp_path / "a", 2, (20, 30)), noise_split(tmp_path / "b", 2, (40, 10))]
    sheet = contact_sheet(splits, "title")
    assert sheet.size == (5 * (2 * 3 * 30 + 6) + 6, 14 + 2 * (20 + 40) + 2 * (2 * 14 + 6))
    top = 14 + 2 * 20 + 2 * 14 + 6 + 14  # below the first split, and the line of text of the second one
    shown = np.asarray(sheet)[top : top + 2 * 40 : 2, 6 : 6 + 2 * 30 : 2]
    assert np.array_equal(shown, np.concatenate([splits[1].arrays[name][0] for name in ("ref", "p0", "p1")], axis=1))
