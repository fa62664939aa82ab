import json
import os
from pathlib import Path

import numpy as np
import pytest

from lpips_repro.datasets.packed import open_split, read_card, write_split
from lpips_repro.errors import UserError

CARD = {"kind": "2afc", "phase": "val", "split": "cnn", "dataset": "test", "resize": "exact", "observers": "human"}


def arrays(count=3, seed=0, size=(64, 64)):
    rng = np.random.default_rng(seed)
    images = {name: rng.integers(0, 256, (count, *size, 3), dtype=np.uint8) for name in ("ref", "p0", "p1")}
    return {**images, "judge": rng.random(count, dtype=np.float32)}


def change_card(folder, **change):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **change}))


def test_what_is_written_is_read_back_memory_mapped(tmp_path):
    written = arrays()
    write_split(tmp_path / "cnn", written, CARD)
    packed = open_split(tmp_path / "cnn")
    assert packed.name == "2afc/val/cnn"
    for name, array in written.items():
        assert isinstance(packed.arrays[name], np.memmap)
        assert np.array_equal(packed.arrays[name], array)


def test_an_older_split_is_replaced_whole(tmp_path):
    write_split(tmp_path / "cnn", arrays(3), CARD)
    write_split(tmp_path / "cnn", arrays(5), CARD)
    assert len(open_split(tmp_path / "cnn")) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["cnn"]


def test_wrong_arrays_are_refused_and_nothing_is_left(tmp_path):
    wrong = {**arrays(), "p0": np.zeros((3, 32, 32, 3), np.uint8)}
    with pytest.raises(UserError, match=r"p0.npy: holds uint8 \(3, 32, 32, 3\), expected uint8 \(3, 64, 64, 3\)"):
        write_split(tmp_path / "cnn", wrong, CARD)
    assert list(tmp_path.iterdir()) == []


def test_a_kind_that_does_not_exist_is_refused_with_those_that_do(tmp_path):
    with pytest.raises(UserError, match=r"cnn: kind='2acf': expected one of 2afc, jnd.*: did you mean 2afc"):
        write_split(tmp_path / "cnn", arrays(), {**CARD, "kind": "2acf"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ref", [np.zeros((3, 64, 64), np.uint8), np.zeros(3, np.uint8), np.zeros((3, 64, 64, 3))])
def test_what_are_no_images_is_refused(tmp_path, ref):
    with pytest.raises(UserError, match=r"ref.npy: holds .* expected uint8 \(3, "):
        write_split(tmp_path / "cnn", {**arrays(), "ref": ref}, CARD)


def test_a_split_has_the_size_of_its_images(tmp_path):
    write_split(tmp_path / "cnn", arrays(size=(20, 30)), CARD)
    packed = open_split(tmp_path / "cnn")
    assert packed.size == (20, 30)
    assert packed.card["size"] == [20, 30]
    packed.verify()


def test_another_size_than_the_dataset_or_the_card_says_is_refused(tmp_path):
    write_split(tmp_path / "cnn", arrays(size=(32, 32)), CARD)
    assert open_split(tmp_path / "cnn", 32).size == (32, 32)
    with pytest.raises(UserError, match=r"holds uint8 \(3, 32, 32, 3\), expected uint8 \(3, 64, 64, 3\): move the"):
        open_split(tmp_path / "cnn", 64)
    change_card(tmp_path / "cnn", size=[32, 64])
    with pytest.raises(UserError, match=r"holds uint8 \(3, 32, 32, 3\), expected uint8 \(3, 32, 64, 3\): move the"):
        open_split(tmp_path / "cnn")


def test_a_card_of_before_it_had_a_size_is_of_this_layout(tmp_path):
    # Recorded with the code of that time, when all images had 64 pixels per side.
    digest = "4bcb79b3267d2c1b927d33b190d862e476f4738ca4586b99305caacc7786cc0d"
    write_split(tmp_path / "cnn", arrays(), CARD)
    card = json.loads((tmp_path / "cnn" / "card.json").read_text())
    del card["size"]
    (tmp_path / "cnn" / "card.json").write_text(json.dumps(card))
    packed = open_split(tmp_path / "cnn", 64)
    assert packed.size == (64, 64)
    assert packed.card["digest"] == digest
    packed.verify()


def version_two(file):
    content = file.read_bytes()
    file.write_bytes(content[:6] + b"\x02" + content[7:])


DAMAGE = {
    "truncate": lambda file: file.write_bytes(file.read_bytes()[:-100]),
    "delete": lambda file: file.unlink(),
    "pickle": lambda file: np.save(file, np.array([None], object)),
    "empty": lambda file: file.write_bytes(b""),
    "zip": lambda file: file.write_bytes(b"PK\x03\x04" + bytes(100)),
    "version": version_two,
    "header": lambda file: file.write_bytes(file.read_bytes().replace(b"(3, 64,", b"((3, 64")),
    "quote": lambda file: file.write_bytes(file.read_bytes().replace(b"'|u1'", b"\"|u1'")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_split_is_refused_when_opened(tmp_path, damage):
    write_split(tmp_path / "cnn", arrays(), CARD)
    DAMAGE[damage](tmp_path / "cnn" / "p0.npy")
    with pytest.raises(UserError, match=rf"move the folder {tmp_path}/cnn elsewhere and run the command again"):
        open_split(tmp_path / "cnn")


@pytest.mark.parametrize(
    "change",
    [
        {"layout": 0},
        {"kind": "3afc"},
        {"kind": ["2afc"]},
        {"kind": None},
        {"split": 5},
        {"count": "3"},
        {"count": 3.0},
        {"count": True},
        {"digest": None},
        {"observers": {}},
        {"size": 64},
    ],
)
def test_a_damaged_card_is_none(tmp_path, change):
    write_split(tmp_path / "cnn", arrays(), CARD)
    change_card(tmp_path / "cnn", **change)
    assert read_card(tmp_path / "cnn") is None
    with pytest.raises(UserError, match=r"cnn: no packed split .* run the command that packs it again"):
        open_split(tmp_path / "cnn")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"layout": 1}', "[" * 100_000, "\udcff", "9" * 5000])
def test_what_is_no_card_is_none(tmp_path, content):
    (tmp_path / "card.json").write_text(content, errors="surrogateescape")
    assert read_card(tmp_path) is None


def test_all_is_on_the_disk_before_the_split_gets_its_name(tmp_path, monkeypatch):
    """Or a power cut could leave a split whose arrays were never written."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    rename, renamed = Path.rename, []

    def check(source, target):
        if target == tmp_path / "cnn":
            assert {path.stat().st_ino for path in (source, *source.iterdir())} == set(synced)
            assert synced[-1] == source.stat().st_ino  # the folder after its files
            renamed.append(target)
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", check)
    for _ in range(2):  # a new one, and in place of an older one
        synced.clear()
        write_split(tmp_path / "cnn", arrays(), CARD)
        assert synced[-1] == tmp_path.stat().st_ino
    assert len(renamed) == 2


@pytest.mark.parametrize("field", ["ref", "judge"])
def test_bytes_in_another_order_are_found_by_verify(tmp_path, field):
    write_split(tmp_path / "cnn", arrays(), CARD)
    file = tmp_path / "cnn" / f"{field}.npy"
    content = file.read_bytes().replace(b"'fortran_order': False", b"'fortran_order': True ")
    file.write_bytes(content)
    with pytest.raises(UserError, match="contents have SHA-256"):
        open_split(tmp_path / "cnn").verify()


def test_a_flipped_bit_is_found_by_verify(tmp_path):
    packed = write_split(tmp_path / "cnn", arrays(), CARD)
    packed.verify()
    content = bytearray((tmp_path / "cnn" / "p0.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "cnn" / "p0.npy").write_bytes(content)
    with pytest.raises(UserError, match=rf"SHA-256 .* move the folder {tmp_path}/cnn elsewhere and"):
        open_split(tmp_path / "cnn").verify()
