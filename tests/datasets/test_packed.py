import json

import numpy as np
import pytest

from lpips_repro.datasets.packed import open_split, write_split
from lpips_repro.errors import UserError

CARD = {"kind": "2afc", "phase": "val", "split": "cnn", "dataset": "test", "resize": "exact", "observers": "human"}


def arrays(count=3, seed=0):
    rng = np.random.default_rng(seed)
    images = {name: rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8) for name in ("ref", "p0", "p1")}
    return {**images, "judge": rng.random(count, dtype=np.float32)}


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


@pytest.mark.parametrize("damage", ["truncate", "delete", "pickle", "layout"])
def test_a_damaged_split_is_refused_when_opened(tmp_path, damage):
    write_split(tmp_path / "cnn", arrays(), CARD)
    file = tmp_path / "cnn" / "p0.npy"
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "delete":
        file.unlink()
    elif damage == "pickle":
        np.save(file, np.array([None], object))
    else:
        card = json.loads((tmp_path / "cnn" / "card.json").read_text())
        (tmp_path / "cnn" / "card.json").write_text(json.dumps({**card, "layout": 0}))
    with pytest.raises(UserError, match=r"cnn.*again"):
        open_split(tmp_path / "cnn")


def test_a_flipped_bit_is_found_by_verify(tmp_path):
    packed = write_split(tmp_path / "cnn", arrays(), CARD)
    packed.verify()
    content = bytearray((tmp_path / "cnn" / "p0.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "cnn" / "p0.npy").write_bytes(content)
    with pytest.raises(UserError, match="SHA-256"):
        open_split(tmp_path / "cnn").verify()
