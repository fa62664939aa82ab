import numpy as np
import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.datasets.packed import write_split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances import Distance, DistanceStore, check_numbers, compute_distances, load_batch
from tests.fake_cuda import CUDA, asynchronous_copies, fake_gpu, note_host_reads

CPU = torch.device("cpu")
IDENTITY = {"function": "l2", "code": "1"}


def packed(tmp_path, kind="2afc", count=5, seed=0):
    rng = np.random.default_rng(seed)
    fields, vote = (("ref", "p0", "p1"), "judge") if kind == "2afc" else (("p0", "p1"), "same")
    arrays = {name: rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8) for name in fields}
    arrays[vote] = (rng.integers(0, 6, count) / 5).astype(np.float32)
    card = {"kind": kind, "phase": "val", "split": "cnn", "dataset": "test", "resize": "exact", "observers": "human"}
    return write_split(tmp_path / f"{kind}-{seed}", arrays, card)


def mean_difference(x, y):
    return (x - y).abs().mean(dim=(1, 2, 3))


DISTANCE = Distance(lambda r, a, b: (mean_difference(r, a), mean_difference(r, b)), mean_difference, IDENTITY)


def computed(distance, split, batch_size, label):
    values = compute_distances({label: distance}, split, CPU, batch_size)[label]
    check_numbers(values, f"{label} on {split.name}")
    return values


def test_stored_distances_come_back_to_the_bit(tmp_path):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    values = {"d0": np.array([0.1, 1e-30, 3e8, np.inf, -np.inf], np.float32), "d1": np.arange(5, dtype=np.float32) / 3}
    assert store.load("l2", IDENTITY, split) is None
    store.save("l2", IDENTITY, split, values)
    found = store.load("l2", IDENTITY, split)
    assert all(np.array_equal(found[name], values[name]) for name in values)


def test_file_has_the_documented_columns(tmp_path):
    store = DistanceStore(tmp_path / "store")
    for kind, header in (("2afc", "index,d0,d1,judge"), ("jnd", "index,d,same")):
        split = packed(tmp_path, kind)
        store.save("l2", IDENTITY, split, computed(DISTANCE, split, 2, "l2"))
        lines = store.path("l2", IDENTITY, split).read_text().splitlines()
        assert lines[0] == header
        assert lines[1].startswith("000000,")
        assert len(lines) == 1 + len(split)


def test_another_identity_or_dataset_is_another_file(tmp_path):
    split, other, store = packed(tmp_path), packed(tmp_path, seed=1), DistanceStore(tmp_path / "store")
    paths = {
        store.path("l2", IDENTITY, split),
        store.path("l2", {**IDENTITY, "code": "2"}, split),
        store.path("l2", IDENTITY, other),
    }
    assert len(paths) == 3


@pytest.mark.parametrize("damage", ["index,d0,d1,judge\n000000,0.1", "nonsense", "index,d0,d1,judge\n000000,a,b,c\n"])
def test_damaged_distances_are_kept_and_not_used(tmp_path, damage, caplog):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    distances = computed(DISTANCE, split, 2, "l2")
    store.save("l2", IDENTITY, split, distances)
    path = store.path("l2", IDENTITY, split)
    path.write_text(damage)
    assert store.load("l2", IDENTITY, split) is None
    assert path.with_name(f"{path.name}.damaged").read_text() == damage
    assert f"{path}: damaged distances (" in caplog.text
    assert f"kept as {path.name}.damaged and {path.stem}.json.damaged, and computed again" in caplog.text
    store.save("l2", IDENTITY, split, distances)
    assert store.load("l2", IDENTITY, split).keys() == distances.keys()


def test_distances_without_their_json_are_not_used(tmp_path):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    store.save("l2", IDENTITY, split, computed(DISTANCE, split, 2, "l2"))
    store.path("l2", IDENTITY, split).with_suffix(".json").unlink()
    assert store.load("l2", IDENTITY, split) is None


@pytest.mark.parametrize("batch_size", [2, 64])
def test_computed_distances_are_those_of_the_metric(tmp_path, batch_size):
    metric = LPIPS("alex", "lin", weights=gaussian_state("alex", 0))
    distance = Distance(
        lambda *images: metric.triplet(*images, normalize=True), lambda x, y: metric(x, y, normalize=True), IDENTITY
    )
    for kind in ("2afc", "jnd"):
        split = packed(tmp_path, kind)
        images = {
            name: torch.from_numpy(np.array(array)).permute(0, 3, 1, 2) / 127.5 - 1
            for name, array in split.arrays.items()
            if array.ndim == 4
        }
        found = computed(distance, split, batch_size, "alex")
        wanted = {"d0": ("ref", "p0"), "d1": ("ref", "p1")} if kind == "2afc" else {"d": ("p0", "p1")}
        assert found.keys() == wanted.keys()
        for name, (a, b) in wanted.items():
            np.testing.assert_allclose(found[name], metric(images[a], images[b]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("broken", [lambda d: d.mean(), lambda d: d[:, None, None, None], lambda d: d.numpy()])
def test_a_metric_that_does_not_return_n_values_is_named(tmp_path, broken):
    distance = Distance(DISTANCE.triplet, lambda x, y: broken(mean_difference(x, y)), {})
    with pytest.raises(UserError, match=r"mae on jnd/val/cnn: the metric returned .*: expected a tensor of N values"):
        computed(distance, packed(tmp_path, "jnd"), 64, "mae")


def test_distances_are_float32_before_and_after_they_are_stored(tmp_path):
    split, store = packed(tmp_path, "jnd"), DistanceStore(tmp_path / "store")
    distance = Distance(DISTANCE.triplet, lambda x, y: mean_difference(x, y).double(), {})
    found = computed(distance, split, 64, "mae")
    store.save("mae", {}, split, found)
    assert found["d"].dtype == np.float32
    assert np.array_equal(store.load("mae", {}, split)["d"], found["d"])


def test_a_distance_that_is_not_a_number_is_an_error_that_names_the_example(tmp_path):
    def broken(x, y):
        return torch.where(torch.arange(len(x)) == 1, float("nan"), mean_difference(x, y))

    with pytest.raises(UserError, match="broken on jnd/val/cnn: the distance of example 000001 is NaN"):
        computed(Distance(DISTANCE.triplet, broken, {}), packed(tmp_path, "jnd"), 64, "broken")


def test_all_methods_share_one_read_of_the_data(tmp_path, monkeypatch):
    read = []

    def load(images, device):
        read.append(len(images))
        return torch.zeros(len(images), 3, 64, 64)

    monkeypatch.setattr("lpips_repro.evaluation.distances.load_batch", load)
    compute_distances({"one": DISTANCE, "other": DISTANCE}, packed(tmp_path), CPU, 3)
    assert read == [3, 3, 3, 2, 2, 2]  # ref, p0, p1 of two batches


def test_images_go_to_a_gpu_as_bytes_without_waiting(tmp_path):
    images = packed(tmp_path).arrays["ref"]
    with fake_gpu(), asynchronous_copies() as copies:
        sent = load_batch(images, CUDA)
    assert (sent.device, sent.dtype, sent.shape) == (CUDA, torch.float32, (5, 3, 64, 64))
    assert copies.sent == [torch.uint8]


def test_the_memory_map_is_neither_changed_nor_shared(tmp_path):
    images = packed(tmp_path).arrays["ref"]
    before = np.array(images)
    load_batch(images, CPU).zero_()
    assert np.array_equal(images, before)


def test_algorithms_are_timed_for_the_batches_of_a_split(tmp_path):
    used = []

    def pair(x, y):
        used.append(torch.backends.cudnn.benchmark)
        return mean_difference(x, y)

    with fake_gpu(), pytest.raises(RuntimeError, match="numpy"):  # there are no values
        compute_distances({"mae": Distance(DISTANCE.triplet, pair, {})}, packed(tmp_path, "jnd"), CUDA, 2)
    assert used == [True, True, True]
    assert not torch.backends.cudnn.benchmark


def test_no_distance_goes_to_the_host_before_the_last_batch_is_begun(tmp_path, monkeypatch):
    done = []
    note_host_reads(monkeypatch, done)

    def pair(x, y):
        done.append("batch")
        return mean_difference(x, y)

    compute_distances({"mae": Distance(DISTANCE.triplet, pair, {})}, packed(tmp_path, "jnd"), CPU, 2)
    assert done == 3 * ["batch"] + 3 * ["to the host"]
