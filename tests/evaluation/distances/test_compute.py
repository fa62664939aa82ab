import signal

import numpy as np
import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.datasets.packed import PackedSplit, write_split
from lpips_repro.evaluation.distances.compute import Distance, batches_of, compute_distances, load_batch, of_pairs
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.protocols import protocol_of
from lpips_repro.evaluation.protocols.twoafc import twoafc_score
from lpips_repro.metrics import psnr
from lpips_repro.runs.signals import ended_by_sigterm
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


DISTANCE = Distance(of_pairs(mean_difference), IDENTITY)


def computed(distance, split, batch_size, label):
    values, faults = compute_distances({label: distance}, split, CPU, batches_of(split, CPU, batch_size))
    assert not faults
    return dict(zip(protocol_of(split).distances, values[label], strict=True))


def fault(distance, split):
    """What is said of a metric at fault; a good one next to it has its distances."""
    values, faults = compute_distances({"good": DISTANCE, "bad": distance}, split, CPU, batches_of(split, CPU, 2))
    assert values.keys() == {"good"}
    np.testing.assert_array_equal(values["good"][0], computed(DISTANCE, split, 2, "good")["d"])
    return faults["bad"]


@pytest.mark.parametrize("batch_size", [2, 64])
def test_computed_distances_are_those_of_the_metric(tmp_path, batch_size):
    metric = LPIPS("alex", "lin", weights=gaussian_state("alex", 0))
    distance = Distance(of_pairs(lambda x, y: metric(x, y, normalize=True)), IDENTITY)
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


@pytest.mark.parametrize(
    ("broken", "returned"),
    [(lambda d: d.mean(), "()"), (lambda d: d[:, None], "(2, 1)"), (lambda d: d.numpy(), "ndarray")],
)
def test_a_metric_that_does_not_return_n_values_is_at_fault(tmp_path, broken, returned):
    distance = Distance(of_pairs(lambda x, y: broken(mean_difference(x, y))), {})
    wanted = f"the metric returned {returned}: expected a tensor of 2 values"
    assert fault(distance, packed(tmp_path, "jnd")) == wanted


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("too small\nand more"), "RuntimeError: too small"),
        (ValueError("needs 161 pixels"), "needs 161 pixels"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (SystemExit("bye"), "SystemExit: bye"),
    ],
)
def test_an_exception_of_a_metric_affects_no_other_row(tmp_path, error, said):
    def broken(x, y):
        if len(x) < 2:  # the last batch alone
            raise error
        return mean_difference(x, y)

    assert fault(Distance(of_pairs(broken), {}), packed(tmp_path, "jnd")) == said


def test_sigterm_while_a_metric_runs_ends_the_program(tmp_path):
    def interrupted(x, y):
        signal.raise_signal(signal.SIGTERM)
        return mean_difference(x, y)

    with pytest.raises(SystemExit) as ended, ended_by_sigterm():
        fault(Distance(of_pairs(interrupted), {}), packed(tmp_path, "jnd"))
    assert ended.value.code == 143


@pytest.mark.parametrize(
    ("broken", "returned"),
    [(lambda d: d.to(torch.complex64), "torch.complex64 on cpu"), (lambda d: d.to("meta"), "torch.float32 on meta")],
)
def test_what_is_no_real_number_is_a_fault(tmp_path, broken, returned):
    distance = Distance(of_pairs(lambda x, y: broken(mean_difference(x, y))), {})
    assert fault(distance, packed(tmp_path, "jnd")) == f"the metric returned {returned}: expected real numbers"


def test_a_float64_metric_keeps_its_digits_to_the_score(tmp_path):
    split, store = packed(tmp_path, "2afc"), DistanceStore(tmp_path / "store")

    def measure(ref, p0, p1):
        far = torch.full((len(ref),), 1000000.01, dtype=torch.float64)
        return torch.stack([far, far + 0.01])

    found = computed(Distance(measure, {}), split, 2, "far")
    store.save("far", {}, split, found)
    for distances in (found, store.load("far", {}, split)):
        assert distances["d0"].dtype == np.float64
        assert (distances["d0"] < distances["d1"]).all()
        assert twoafc_score(distances["d0"], distances["d1"], split.votes) == pytest.approx(1 - split.votes.mean())


def test_half_precision_is_stored_as_float32(tmp_path):
    split = packed(tmp_path, "jnd")
    distance = Distance(of_pairs(lambda x, y: mean_difference(x, y).bfloat16()), {})
    assert computed(distance, split, 64, "mae")["d"].dtype == np.float32


def test_integers_do_not_tie_by_rounding(tmp_path):
    split = packed(tmp_path, "jnd")
    distance = Distance(of_pairs(lambda x, y: 2**24 + torch.arange(len(x))), {})
    assert np.unique(computed(distance, split, 64, "count")["d"]).size == len(split)


def test_a_distance_that_is_not_a_number_is_a_fault_that_names_the_example(tmp_path):
    def broken(x, y):
        return torch.where(mean_difference(x, y) == third, float("nan"), mean_difference(x, y))

    split = packed(tmp_path, "jnd")
    third = computed(DISTANCE, split, 2, "mae")["d"][3]
    assert fault(Distance(of_pairs(broken), {}), split) == "the distance of example 000003 is NaN"


@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
def test_an_infinite_distance_of_different_images_is_a_fault_that_names_the_example(tmp_path, value):
    def broken(x, y):
        return torch.where(mean_difference(x, y) == third, value, mean_difference(x, y))

    split = packed(tmp_path, "jnd")
    third = computed(DISTANCE, split, 2, "mae")["d"][3]
    assert (
        fault(Distance(of_pairs(broken), {}), split) == f"the distance of example 000003 is {value} of different images"
    )


def test_of_equal_images_minus_infinity_is_a_distance_and_infinity_is_a_fault(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    other = images.copy()
    other[0, 0, 0, 0] ^= 1
    card = {"kind": "jnd", "phase": "val", "split": "cnn", "dataset": "test", "resize": "exact", "observers": "human"}
    split = write_split(tmp_path / "s", {"p0": images, "p1": other, "same": np.ones(2, np.float32)}, card)
    found = computed(Distance(of_pairs(psnr, torch.neg), {}), split, 2, "psnr")["d"]
    assert found[0] < 0 and np.isfinite(found[0]) and found[1] == -np.inf
    assert fault(Distance(of_pairs(psnr), {}), split) == "the distance of example 000001 is inf of equal images"


def test_all_methods_share_one_read_of_the_data(tmp_path, monkeypatch):
    read = []

    def load(images, device):
        read.append(len(images))
        return torch.zeros(len(images), 3, 64, 64)

    monkeypatch.setattr("lpips_repro.evaluation.distances.compute.load_batch", load)
    split = packed(tmp_path)
    compute_distances({"one": DISTANCE, "other": DISTANCE}, split, CPU, batches_of(split, CPU, 3))
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

    split = packed(tmp_path, "jnd")
    with fake_gpu(), pytest.raises(RuntimeError, match="numpy"):  # there are no values
        compute_distances({"mae": Distance(of_pairs(pair), {})}, split, CUDA, batches_of(split, CUDA, 2))
    assert used == [True, True, True]
    assert not torch.backends.cudnn.benchmark


def test_no_distance_goes_to_the_host_before_the_last_batch_is_begun(tmp_path, monkeypatch):
    done = []
    note_host_reads(monkeypatch, done)

    def pair(x, y):
        done.append("batch")
        return mean_difference(x, y)

    split = packed(tmp_path, "jnd")
    compute_distances({"mae": Distance(of_pairs(pair), {})}, split, CPU, batches_of(split, CPU, 2))
    assert done == 3 * ["batch"] + 3 * ["to the host"]


def test_a_batch_is_chosen_by_pixels_unless_a_number_is_given(tmp_path):
    split = packed(tmp_path, count=101)
    assert [len(batch) for batch in batches_of(split, CPU)] == [50, 50, 1]
    assert [len(batch) for batch in batches_of(split, CUDA)] == [101]
    assert [len(batch) for batch in batches_of(split, CPU, 60, 10)] == [60, 31]
    larger = PackedSplit(split.path, split.card, {name: np.zeros((101, 224, 224, 3), np.uint8) for name in ("ref",)})
    assert len(batches_of(larger, CPU)[0]) == 50 * 64**2 // 224**2
