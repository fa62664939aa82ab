import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, ConcatDataset, DataLoader, SequentialSampler, Subset, default_collate

from lpips_repro.datasets import torch_datasets
from lpips_repro.datasets.packed import write_split
from lpips_repro.datasets.torch_datasets import BAPPS2AFC, BAPPSJND
from lpips_repro.errors import UserError

FIELDS = {"2afc": ("ref", "p0", "p1"), "jnd": ("p0", "p1")}
VOTE = {"2afc": "judge", "jnd": "same"}
CLASS = {"2afc": BAPPS2AFC, "jnd": BAPPSJND}
WORKERS = pytest.mark.parametrize("workers", [0, 2])


def packed(folder, kind, count=11):
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8) for name in FIELDS[kind]}
    arrays[VOTE[kind]] = rng.random(count, dtype=np.float32)
    card = {"kind": kind, "phase": "val", "split": "cnn", "dataset": "t", "resize": "exact", "observers": "human"}
    write_split(folder / kind, arrays, card)
    return folder / kind, arrays


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    path, arrays = packed(tmp_path_factory.mktemp("triplets"), "2afc")
    return BAPPS2AFC(path), arrays


def as_floats(array):
    values = torch.tensor(array)
    return values.movedim(-1, -3).float() / 255 if array.dtype == np.uint8 else values


def check(batch, arrays, rows):
    """That a batch is these rows of the arrays, as floats to write to."""
    assert list(batch) == list(arrays)
    for name, values in batch.items():
        expected = as_floats(arrays[name][rows])
        assert (values.dtype, values.shape) == (torch.float32, expected.shape)
        assert torch.equal(values, expected)
        values += 1


@pytest.mark.parametrize("kind", ["2afc", "jnd"])
@WORKERS
def test_a_plain_loader_gives_the_examples_as_floats_in_order(tmp_path, kind, workers):
    path, arrays = packed(tmp_path, kind)
    batches = list(DataLoader(CLASS[kind](path), batch_size=4, num_workers=workers))
    assert [type(batch) for batch in batches] == [dict] * 3
    for batch, rows in zip(batches, ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]), strict=True):
        check(batch, arrays, rows)


@WORKERS
def test_a_shuffled_loader_gives_every_example_once_and_its_fields_together(triplets, workers):
    dataset, arrays = triplets
    loader = DataLoader(dataset, 4, shuffle=True, num_workers=workers, generator=torch.Generator().manual_seed(0))
    batches = list(loader)
    row = {vote: index for index, vote in enumerate(arrays["judge"].tolist())}
    rows = [[row[vote] for vote in batch["judge"].tolist()] for batch in batches]
    order = [index for batch in rows for index in batch]
    assert sorted(order) == list(range(11)) != order
    for batch, expected in zip(batches, rows, strict=True):
        check(batch, arrays, expected)


@pytest.mark.parametrize("indices", [[7, 2, 9], np.array([7, 2, 9]), torch.tensor([7, 2, 9]), [-4, -9, 9]])
@WORKERS
def test_a_subset_gives_the_examples_it_names(triplets, indices, workers):
    dataset, arrays = triplets
    (batch,) = DataLoader(Subset(dataset, indices), batch_size=5, num_workers=workers)
    check(batch, arrays, [7, 2, 9])


@WORKERS
def test_datasets_can_be_concatenated(triplets, workers):
    dataset, arrays = triplets
    first, second = DataLoader(dataset + Subset(dataset, [5, 3]), batch_size=8, num_workers=workers)
    check(first, arrays, list(range(8)))
    check(second, arrays, [8, 9, 10, 5, 3])
    assert isinstance(dataset + dataset, ConcatDataset)


def test_a_sampler_can_ask_for_whole_batches(triplets):
    dataset, arrays = triplets
    sampler = BatchSampler(SequentialSampler(dataset), batch_size=6, drop_last=False)
    first, second = DataLoader(dataset, batch_size=None, sampler=sampler)
    check(first, arrays, list(range(6)))
    check(second, arrays, list(range(6, 11)))


def doubled(examples):
    """A `collate_fn` of one's own, on the examples and on the batch."""
    assert [example["ref"].shape for example in examples] == [(3, 64, 64)] * len(examples)
    batch = default_collate(examples)
    return {"doubled": batch["ref"] * 2, **batch}


@WORKERS
def test_another_collate_fn_meets_floats(triplets, workers):
    dataset, arrays = triplets
    (batch,) = DataLoader(dataset, batch_size=11, collate_fn=doubled, num_workers=workers)
    assert torch.equal(batch.pop("doubled"), as_floats(arrays["ref"]) * 2)
    check(batch, arrays, list(range(11)))


def changed(examples):
    """A `collate_fn` that changes the batch in place, as one can a dictionary."""
    batch = default_collate(examples)
    batch["p0"].mul_(2)
    batch["judge"] = batch["judge"].round()
    del batch["p1"]
    return batch


@WORKERS
def test_what_a_collate_fn_changes_in_place_arrives(triplets, workers):
    dataset, arrays = triplets
    (batch,) = DataLoader(dataset, batch_size=11, collate_fn=changed, num_workers=workers)
    assert set(batch) == {"ref", "p0", "judge"}
    assert torch.equal(batch["p0"], as_floats(arrays["p0"]) * 2)
    assert torch.equal(batch["judge"], torch.from_numpy(arrays["judge"]).round())


def extended(examples):
    return default_collate(examples) | {"number": torch.arange(len(examples))}


@WORKERS
def test_a_batch_can_be_extended_as_a_dictionary(triplets, workers):
    dataset, arrays = triplets
    (batch,) = DataLoader(dataset, batch_size=11, collate_fn=extended, num_workers=workers)
    assert batch.pop("number").tolist() == list(range(11))
    check(batch, arrays, list(range(11)))


class Brighter(BAPPS2AFC):
    """A dataset of one's own, on top."""

    def __getitem__(self, index):
        example = super().__getitem__(index)
        return example | {"p0": example["p0"] + 1}


@WORKERS
def test_a_subclass_can_change_the_examples(triplets, workers):
    dataset, arrays = triplets
    (batch,) = DataLoader(Brighter(dataset.path), batch_size=11, num_workers=workers)
    assert torch.equal(batch["p0"], as_floats(arrays["p0"]) + 1)
    assert torch.equal(batch["p1"], as_floats(arrays["p1"]))


def test_the_example_in_the_module_s_words_runs(triplets):
    dataset, _ = triplets
    code = [line[4:] for line in torch_datasets.__doc__.splitlines() if line.startswith("    ")]
    names = {}
    exec("\n".join(code).replace("data/packed/bapps/pil_bilinear/2afc-val-cnn", str(dataset.path)), names)
    assert names["batch"]["ref"].shape == (11, 3, 64, 64)


def test_examples_and_slices_are_floats(triplets):
    dataset, arrays = triplets
    check(dataset[3], arrays, 3)
    check(dataset[-1], arrays, -1)
    check(dataset[2:7], arrays, slice(2, 7))
    check(dataset[[7, 2, 9]], arrays, [7, 2, 9])
    assert len(list(dataset)) == len(dataset) == 11
    with pytest.raises(IndexError):
        dataset[11]


def test_every_byte_becomes_what_torch_makes_of_it(tmp_path):
    arrays = {name: np.arange(64 * 64 * 3, dtype=np.uint32).astype(np.uint8) for name in FIELDS["2afc"]}
    arrays = {name: array.reshape(1, 64, 64, 3) for name, array in arrays.items()} | {"judge": np.zeros(1, np.float32)}
    card = {"kind": "2afc", "phase": "val", "split": "cnn", "dataset": "t", "resize": "exact", "observers": "human"}
    write_split(tmp_path / "2afc", arrays, card)
    check(BAPPS2AFC(tmp_path / "2afc")[:], arrays, slice(None))


def test_a_split_packed_again_does_not_mix_with_what_was_opened_before(tmp_path):
    path, arrays = packed(tmp_path, "2afc")
    before = BAPPS2AFC(path)
    parcel = pickle.dumps(before)
    packed(tmp_path, "2afc", count=5)
    assert (len(before), len(BAPPS2AFC(path))) == (11, 5)
    (batch,) = DataLoader(before, batch_size=11)
    check(batch, arrays, list(range(11)))
    with pytest.raises(UserError, match="2afc: packed again while it was being read"):
        pickle.loads(parcel)


def test_a_dataset_travels_without_its_arrays(triplets):
    dataset = Brighter(triplets[0].path)
    dataset.gain = 2
    parcel = pickle.dumps(dataset)
    assert len(parcel) < 1000
    arrived = pickle.loads(parcel)
    assert (arrived.card, arrived.gain) == (dataset.card, 2)
    assert torch.equal(arrived[:]["p0"], dataset[:]["p0"])


def test_card_tells_count_digest_resize_and_observers(triplets):
    card = triplets[0].card
    assert (card["count"], card["resize"], card["observers"]) == (11, "exact", "human")
    assert len(card["digest"]) == 64


@pytest.mark.parametrize(
    ("place", "command"),
    [
        ("absent", "run `make data` (BAPPS) or `make data DATA=mini`"),
        ("pil_bilinear/2afc-val-cnn", "run `make data SPLITS=val` (BAPPS) or `make data SPLITS=val DATA=mini`"),
        ("jnd-val-cnn", "run `make data SPLITS=val` (BAPPS)"),
        ("2afc-train-mix", "run `make data SPLITS=train` (BAPPS)"),
        ("pil_bilinear-96/jnd-val-cnn", 'run `make data SPLITS=val ARGS="data.size=96"` (BAPPS)'),
        ("exact-96/2afc-val-cnn", 'run `make data SPLITS=val ARGS="data.resize=exact data.size=96"` (BAPPS)'),
        ("exact/2afc-train-mix", 'run `make data SPLITS=train ARGS="data.resize=exact"` (BAPPS)'),
    ],
)
def test_a_split_that_is_not_there_names_the_command_that_gets_it(tmp_path, place, command):
    with pytest.raises(UserError) as error:
        BAPPS2AFC(tmp_path / place)
    assert str(error.value).startswith(f"{tmp_path / place}: no packed split of layout 1 here: {command}")


def test_a_folder_without_a_card_is_no_split(tmp_path):
    with pytest.raises(UserError, match="no packed split of layout 1 here: run `make data`"):
        BAPPS2AFC(tmp_path)


def test_a_split_of_the_other_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match="a jnd split, expected 2afc"):
        BAPPS2AFC(packed(tmp_path, "jnd")[0])
