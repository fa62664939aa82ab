import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lpips_repro.datasets.packed import write_split
from lpips_repro.datasets.torch_datasets import BAPPS2AFC, BAPPSJND
from lpips_repro.errors import UserError

FIELDS = {"2afc": ("ref", "p0", "p1"), "jnd": ("p0", "p1")}
VOTE = {"2afc": "judge", "jnd": "same"}
CLASS = {"2afc": BAPPS2AFC, "jnd": BAPPSJND}


def packed(tmp_path, kind, count=11):
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8) for name in FIELDS[kind]}
    arrays[VOTE[kind]] = rng.random(count, dtype=np.float32)
    card = {"kind": kind, "phase": "val", "split": "cnn", "dataset": "t", "resize": "exact", "observers": "human"}
    write_split(tmp_path / kind, arrays, card)
    return tmp_path / kind, arrays


def as_floats(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("kind", ["2afc", "jnd"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_the_examples_as_floats_in_order(tmp_path, kind, workers):
    path, arrays = packed(tmp_path, kind)
    dataset = CLASS[kind](path)
    assert len(dataset) == 11
    batches = list(DataLoader(dataset, batch_size=4, collate_fn=dataset.collate, num_workers=workers))
    for name in FIELDS[kind]:
        found = torch.cat([batch[name] for batch in batches])
        assert found.dtype == torch.float32
        assert torch.equal(found, as_floats(arrays[name]))
    assert torch.equal(torch.cat([batch[VOTE[kind]] for batch in batches]), torch.from_numpy(arrays[VOTE[kind]]))


def test_a_batch_is_in_the_order_asked_for(tmp_path):
    path, arrays = packed(tmp_path, "2afc")
    dataset = BAPPS2AFC(path)
    batch = dataset.collate([dataset[index] for index in (7, 2, 9)])
    assert torch.equal(batch["p0"], as_floats(arrays["p0"][[7, 2, 9]]))
    assert batch["judge"].tolist() == arrays["judge"][[7, 2, 9]].tolist()


def test_one_example_is_a_view_into_the_file(tmp_path):
    dataset = BAPPS2AFC(packed(tmp_path, "2afc")[0])
    assert dataset[3]["ref"].base is not None
    assert dataset[3]["ref"].dtype == np.uint8


def test_card_tells_count_digest_resize_and_observers(tmp_path):
    card = BAPPS2AFC(packed(tmp_path, "2afc")[0]).card
    assert (card["count"], card["resize"], card["observers"]) == (11, "exact", "human")
    assert len(card["digest"]) == 64


def test_a_split_that_is_not_there_names_the_command_that_gets_it(tmp_path):
    with pytest.raises(UserError, match=r"absent: no packed split here: run `make data`"):
        BAPPS2AFC(tmp_path / "absent")


def test_a_split_of_the_other_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match="a jnd split, expected 2afc"):
        BAPPS2AFC(packed(tmp_path, "jnd")[0])
