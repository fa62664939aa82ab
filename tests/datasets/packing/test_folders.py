import json
import logging
import os
import time

import numpy as np
import pytest
from PIL import Image

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.packed import open_split
from lpips_repro.datasets.packing import folders
from lpips_repro.datasets.packing.folders import pack_split
from lpips_repro.datasets.packing.layout import find_splits
from lpips_repro.datasets.packing.patches import PatchForm
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError
from tests.compose import settings
from tests.datasets.folders import FIELDS, VOTE, make_split
from tests.datasets.killed import die


def pack(root, target, resize="pil_bilinear", workers=2):
    (split,) = find_splits(root, "val")
    return pack_split(split, target, PatchForm(64, resize), "folder", "human", workers)


@pytest.mark.parametrize("kind", ["2afc", "jnd"])
def test_packed_split_holds_the_images_and_votes_in_order(tmp_path, kind):
    _, images, votes = make_split(tmp_path / "data", kind=kind, count=folders.CHUNK + 5)
    packed = pack(tmp_path / "data", tmp_path / "packed")
    for field in FIELDS[kind]:
        assert np.array_equal(packed.arrays[field], images[field])
    assert np.array_equal(packed.arrays[VOTE[kind]], votes)
    assert packed.card["count"] == len(packed) == len(votes)
    packed.verify()


def test_digest_does_not_depend_on_the_number_of_processes(tmp_path):
    make_split(tmp_path / "data", count=2 * folders.CHUNK)
    one, two = (pack(tmp_path / "data", tmp_path / str(n), workers=n) for n in (1, 2))
    assert one.card["digest"] == two.card["digest"]


def test_an_unchanged_split_is_not_decoded_again(tmp_path, monkeypatch):
    make_split(tmp_path / "data")
    first = pack(tmp_path / "data", tmp_path / "packed")
    monkeypatch.setattr(folders, "_fill", lambda *args: pytest.fail("decoded again"))
    assert pack(tmp_path / "data", tmp_path / "packed").card == first.card


def test_another_kind_of_observers_packs_again(tmp_path):
    make_split(tmp_path / "data")
    (split,) = find_splits(tmp_path / "data", "val")
    cards = [
        pack_split(split, tmp_path / "packed", PatchForm(64, "exact"), "folder", observers, 1).card
        for observers in ("human", "simulated")
    ]
    assert [card["observers"] for card in cards] == ["human", "simulated"]


def keep_times(path, change):
    """Change a file, with its times of modification and access as before."""
    stat = path.stat()
    change()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_judgments_inverted_under_the_same_times_pack_again(tmp_path):
    folder, _, votes = make_split(tmp_path / "data")
    first = pack(tmp_path / "data", tmp_path / "packed")
    for index, vote in enumerate(votes):
        file = folder / f"judge/{index:06d}.npy"
        keep_times(file, lambda file=file, vote=vote: np.save(file, np.float32([1 - vote])))
    second = pack(tmp_path / "data", tmp_path / "packed")
    np.testing.assert_allclose(second.votes, 1 - first.votes, atol=1e-6)


def test_an_image_changed_under_the_same_time_and_size_packs_again(tmp_path):
    folder, _, _ = make_split(tmp_path / "data")
    first = pack(tmp_path / "data", tmp_path / "packed")
    one, other = (folder / f"ref/{index:06d}.png" for index in (0, 1))
    contents = one.read_bytes(), other.read_bytes()
    assert len(contents[0]) == len(contents[1])  # noise
    keep_times(one, lambda: one.write_bytes(contents[1]))
    second = pack(tmp_path / "data", tmp_path / "packed")
    assert np.array_equal(second.arrays["ref"][0], first.arrays["ref"][1])


def test_a_changed_file_or_resize_mode_packs_again(tmp_path):
    folder, _, _ = make_split(tmp_path / "data")
    first = pack(tmp_path / "data", tmp_path / "packed")
    time.sleep(0.01)  # a later modification time
    np.save(folder / "judge/000000.npy", np.array([1 - first.votes[0]], np.float32))
    second = pack(tmp_path / "data", tmp_path / "packed")
    assert second.card["digest"] != first.card["digest"]
    assert pack(tmp_path / "data", tmp_path / "packed", "exact").card["resize_mode"] == "exact"


@pytest.mark.parametrize("key", ["source", "resize_mode", "stored_sizes", "not_of_stored_form"])
def test_a_card_that_lacks_something_packs_again(tmp_path, key):
    make_split(tmp_path / "data")
    first = pack(tmp_path / "data", tmp_path / "packed")
    card = {name: entry for name, entry in first.card.items() if name != key}
    (tmp_path / "packed" / "card.json").write_text(json.dumps(card))
    assert pack(tmp_path / "data", tmp_path / "packed").card == first.card


@pytest.mark.parametrize("bad", ["p1/000003.png", "judge/000003.npy"])
def test_a_bad_file_is_named_and_nothing_is_left(tmp_path, bad):
    folder, _, _ = make_split(tmp_path / "data")
    (folder / bad).write_bytes(b"broken")
    with pytest.raises(UserError, match=bad):
        pack(tmp_path / "data", tmp_path / "packed" / "cnn")
    assert list((tmp_path / "packed").iterdir()) == []


def test_a_bad_file_leaves_the_older_packed_split(tmp_path):
    folder, _, _ = make_split(tmp_path / "data")
    first = pack(tmp_path / "data", tmp_path / "packed" / "cnn")
    (folder / "p0/000000.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"p0/000000\.png"):
        pack(tmp_path / "data", tmp_path / "packed" / "cnn")
    first.verify()


def test_a_full_disk_is_reported_before_anything_is_written(tmp_path, monkeypatch):
    make_split(tmp_path / "data")
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(UserError, match=r"GB free: packing .* needs"):
        pack(tmp_path / "data", tmp_path / "packed" / "cnn")
    assert list((tmp_path / "packed").iterdir()) == []


def test_images_not_of_the_stored_form_are_counted_and_named(shared, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        packed = pack(shared / "bapps_real_triplets", tmp_path / "packed", "exact")
    assert packed.card["not_of_stored_form"] == ["p0/000025.png", "p1/000025.png", "ref/000025.png"]
    assert packed.card["stored_sizes"] == {"256x256": 180}
    assert "3 of 180 images are not of the stored form" in caplog.text


def test_a_killed_worker_is_one_line_and_leaves_the_older_packed_split(tmp_path, monkeypatch):
    folder, _, _ = make_split(tmp_path / "data", count=2 * folders.CHUNK)
    first = pack(tmp_path / "data", tmp_path / "packed")
    np.save(folder / "judge/000000.npy", np.float32([0.123]))
    monkeypatch.setattr(folders, "_decode_chunk", die)
    with pytest.raises(UserError, match=f"^{folder}: a worker process was killed, .*data.workers=1") as caught:
        pack(tmp_path / "data", tmp_path / "packed", workers=2)
    assert "\n" not in str(caught.value)
    assert open_split(first.path).card == first.card
    assert {path.name for path in tmp_path.iterdir()} == {"data", "packed"}


def test_images_that_are_resized_are_logged_once_per_split(tmp_path, caplog):
    folder, _, _ = make_split(tmp_path / "data")
    for file in folder.glob("p0/*.png"):
        Image.open(file).resize((256, 256)).save(file)
    make_split(tmp_path / "data", split="small")
    with caplog.at_level("INFO"):
        for _ in range(2):
            caplog.clear()
            prepared = prepare(parse(settings("dataset", *words(tmp_path)), DatasetConfig).data, "val")
            logged = [record.getMessage() for record in caplog.records if "resized" in record.getMessage()]
            assert logged == [
                f"{folder}: 5 of 15 images are stored larger (256x256 pixels): resized to 64x64 by"
                " data.resize=pil_bilinear"
            ]
    assert prepared[0].card["stored_sizes"] == {"256x256": 5, "64x64": 10}


def words(tmp_path):
    return ["data=folder", f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", "data.workers=1"]


def test_a_folder_whose_observers_are_not_stated_is_not_said_to_be_judged_by_people(tmp_path):
    make_split(tmp_path / "data")
    for said, expected in (((), "unknown"), (["data.observers=human"], "human")):
        (split,) = prepare(parse(settings("dataset", *words(tmp_path), *said), DatasetConfig).data, "val")
        assert split.card["observers"] == expected
