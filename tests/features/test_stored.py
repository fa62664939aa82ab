"""Stored features: their values, and that a pass that is interrupted, killed or out of disk loses nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.features import stored as features
from lpips_repro.features.stored import channel_statistics, features_bytes, stored_features
from lpips_repro.training.batch import ImageBatch
from lpips_repro.training.model import RankingModel
from tests.datasets.full_disk import run_on_full_disk
from tests.training.test_features import NETS, WEIGHTS, images, make_metric
from tests.training.tiny import CPU

FIELDS = ("mean.npy", "noise.npy")


@pytest.mark.parametrize("version", ["0.0", "0.1"])
@pytest.mark.parametrize("net", NETS)
def test_statistics_are_those_of_the_naive_formulas(net, version):
    metric, triplet = make_metric(net, version), images(2)
    maps = metric.double().backbone(metric.preprocess(tuple(image.double() for image in triplet)))
    means, deviations = [], []
    for of_layer in maps:
        f, *others = (of_layer / (of_layer.norm(dim=1, keepdim=True) + 1e-10)).chunk(3)
        squared = np.stack([((f - other) ** 2).numpy() for other in others], axis=1)
        places = squared.shape[3] * squared.shape[4]
        means.append(squared.sum(axis=(3, 4)) / places)
        # A place is dropped or doubled with equal chance, so its variance is the square of its value.
        deviations.append(np.sqrt((squared**2).sum(axis=(3, 4)) / places / places))
    wanted = [torch.from_numpy(np.concatenate(parts, axis=2)) for parts in (means, deviations)]
    double = channel_statistics(metric, *(image.double() for image in triplet))
    for found, expected in zip(double, wanted, strict=True):
        assert found.shape == (2, 2, sum(metric.backbone.spec.channels))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-16)
    for found, expected in zip(channel_statistics(metric.float(), *triplet), wanted, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("net", NETS)
def test_means_are_those_of_the_metric_exactly(net):
    metric, (ref, *others) = make_metric(net), images(2)
    with torch.inference_mode():
        found, _ = channel_statistics(metric, ref, *others)
        assert torch.equal(found, metric.channel_means(ref, *others).transpose(0, 1))


@pytest.fixture
def calls(monkeypatch):
    """How many triplets were computed, by call; four at a time."""
    found = []

    def counted(metric, ref, p0, p1):
        found.append(len(ref))
        return channel_statistics(metric, ref, p0, p1)

    counted.__module__ = channel_statistics.__module__
    monkeypatch.setattr(features, "channel_statistics", counted)
    monkeypatch.setitem(features.BATCH, "cpu", 4)
    return found


def store(split: PackedSplit, root: Path, metric: LPIPS | None = None, dtype: str = "float32", *, noise: bool = True):
    return stored_features(metric or make_metric(), split, root, dtype, CPU, noise=noise)


def stored_bytes(root: Path) -> dict[str, bytes]:
    (folder,) = root.glob("tiny/*")
    return {name: (folder / name).read_bytes() for name in (*FIELDS, "card.json")}


def test_what_is_complete_is_not_computed_again(splits, tmp_path, calls):
    split = splits["train"][0]
    first = store(split, tmp_path)
    assert calls == [4, 4, 4, 4, 4, 3]
    again = store(split, tmp_path)
    assert len(calls) == 6
    assert np.array_equal(first.mean, again.mean)
    assert np.array_equal(first.noise, again.noise)


def test_the_pass_over_the_images_has_batches_of_one_shape(splits, tmp_path, monkeypatch):
    used, right = [], features.fixed_shapes
    monkeypatch.setattr(features, "fixed_shapes", lambda device: used.append(device) or right(device))
    store(splits["train"][0], tmp_path)
    assert used == [CPU]


@pytest.mark.parametrize("completed", [0, 1, 3, 5])
def test_an_interrupted_pass_continues_where_it_stopped_to_the_same_bytes(
    completed, splits, tmp_path, calls, monkeypatch
):
    split = splits["train"][0]
    store(split, tmp_path / "undisturbed")
    counted = features.channel_statistics

    def interrupted(*args):
        if len(calls) == 6 + completed:
            raise KeyboardInterrupt
        return counted(*args)

    interrupted.__module__ = channel_statistics.__module__
    with monkeypatch.context() as patch:
        patch.setattr(features, "channel_statistics", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store(split, tmp_path / "interrupted")
    assert not list((tmp_path / "interrupted").glob("tiny/*/card.json"))
    store(split, tmp_path / "interrupted")
    assert calls == [4, 4, 4, 4, 4, 3] * 2
    assert stored_bytes(tmp_path / "interrupted") == stored_bytes(tmp_path / "undisturbed")


def test_a_pass_killed_while_writing_comes_to_the_same_bytes(splits, tmp_path, calls):
    split = splits["train"][0]
    store(split, tmp_path)
    whole = stored_bytes(tmp_path)
    (folder,) = tmp_path.glob("tiny/*")
    row = 2 * 1152 * 4
    (folder / "card.json").unlink()
    for name, left in zip(FIELDS, (13.5, 9.25), strict=True):  # rows; the smaller says what is complete
        (folder / name).write_bytes(whole[name][: len(whole[name]) - 23 * row + int(left * row)])
    store(split, tmp_path)
    assert calls[6:] == [4, 4, 4, 3]
    assert stored_bytes(tmp_path) == whole


FULL_DISK = """
import sys
import torch
from pathlib import Path
from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.entry_point import run
from lpips_repro.datasets.packed import open_split
from lpips_repro.features import stored as features
features.BATCH["cpu"] = 4
metric = LPIPS("alex", "off_the_shelf", "0.1", gaussian_state("alex", 1))
split, root = open_split(Path(sys.argv[1])), Path(sys.argv[2])
run(lambda: features.stored_features(metric, split, root, "float32", torch.device("cpu"), noise=True))
"""


def test_a_full_disk_is_one_error_and_what_is_done_stays(splits, tmp_path, calls):
    split = splits["train"][0]
    store(split, tmp_path / "undisturbed")
    row = 2 * 1152 * 4
    error = run_on_full_disk(int(9.5 * row), "-c", FULL_DISK, str(split.path), str(tmp_path / "full"))
    (folder,) = (tmp_path / "full").glob("tiny/*")
    assert error.startswith(f"error: {folder}: File too large: completed rows are kept, and the next run resumes there")
    store(split, tmp_path / "full")
    assert calls[6:] == [4, 4, 4, 3]
    assert stored_bytes(tmp_path / "full") == stored_bytes(tmp_path / "undisturbed")


@pytest.mark.parametrize("left", [0, 100, 5000])
def test_stored_features_that_are_damaged_are_kept_and_computed_again(left, splits, tmp_path, caplog):
    store(splits["val"][0], tmp_path)
    whole = stored_bytes(tmp_path)
    (folder,) = tmp_path.glob("tiny/*")
    with (folder / "noise.npy").open("r+b") as file:
        file.truncate(left)
    found = store(splits["val"][0], tmp_path)
    assert stored_bytes(tmp_path) == whole
    assert found.noise.shape == (len(splits["val"][0]), 2, 1152)
    assert (folder / "noise.npy.damaged").stat().st_size == left
    assert (folder / "mean.npy.damaged").read_bytes() == whole["mean.npy"]
    assert f"{folder}: " in caplog.text
    assert "kept as mean.npy.damaged, noise.npy.damaged, card.json.damaged, and computed again" in caplog.text


@pytest.mark.parametrize("name", ["mean", "noise"])
def test_stored_features_with_other_numbers_are_kept_and_computed_again(name, splits, tmp_path, caplog):
    store(splits["val"][0], tmp_path)
    whole = stored_bytes(tmp_path)
    (file,) = tmp_path.glob(f"tiny/*/{name}.npy")
    file.write_bytes(file.read_bytes()[:-4] + b"abcd")
    store(splits["val"][0], tmp_path)
    assert stored_bytes(tmp_path) == whole
    assert f"{file}: changed since it was stored: not used" in caplog.text
    assert file.with_name(f"{name}.npy.damaged").is_file()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"code": "0"}, "the code that computes them"),
        ({"libraries": {}}, "the libraries that it uses"),
        ({"dtype": "int8"}, ""),
    ],
)
def test_features_of_an_earlier_version_are_said_with_what_changed(other, said, splits, tmp_path, caplog):
    caplog.set_level("INFO")
    store(splits["val"][0], tmp_path)
    assert "earlier version" not in caplog.text
    (folder,) = tmp_path.glob("tiny/*")
    earlier = folder.rename(folder.with_name(f"{folder.name.rpartition('-')[0]}-000000000000"))
    card = json.loads((earlier / "card.json").read_text())
    (earlier / "card.json").write_text(json.dumps({**card, **other}))
    store(splits["val"][0], tmp_path)
    assert ("features of an earlier version are not used" in caplog.text) is bool(said)
    assert (
        f"because {said} changed: they are computed again, and the earlier ones stay in {earlier}" in caplog.text
        or not said
    )


def test_a_pass_does_not_go_on_from_a_file_with_a_damaged_head(splits, tmp_path, calls):
    store(splits["val"][0], tmp_path)
    whole = stored_bytes(tmp_path)
    (folder,) = tmp_path.glob("tiny/*")
    (folder / "card.json").unlink()
    with (folder / "noise.npy").open("r+b") as file:
        file.write(b"\0" * 64)
    store(splits["val"][0], tmp_path)
    assert stored_bytes(tmp_path) == whole


def test_complete_features_are_read_without_a_lock(splits, tmp_path, monkeypatch):
    stored = store(splits["val"][0], tmp_path)
    monkeypatch.setattr(features, "exclusive", None)
    assert np.array_equal(store(splits["val"][0], tmp_path).mean, stored.mean)


def test_another_identity_is_another_folder(splits, tmp_path):
    first, second = splits["train"]
    store(first, tmp_path)
    store(second, tmp_path)
    store(first, tmp_path, make_metric("squeeze"))
    store(first, tmp_path, make_metric(version="0.0"))
    store(first, tmp_path, make_metric(weights=gaussian_state("alex", 2)))
    store(first, tmp_path, dtype="float16")
    store(first, tmp_path, noise=False)
    changed = PackedSplit(first.path, {**first.card, "digest": "0" * 64}, first.arrays)
    store(changed, tmp_path)
    cards = [json.loads(file.read_text()) for file in tmp_path.glob("tiny/*/card.json")]
    assert len(cards) == 8
    assert len({json.dumps(card) for card in cards}) == 8


def test_a_validation_split_stores_the_means_alone(splits, tmp_path):
    split = splits["val"][0]
    with_noise, without = (store(split, tmp_path / str(noise), noise=noise) for noise in (True, False))
    assert without.noise is None
    assert np.array_equal(without.mean, with_noise.mean)
    assert [file.name for file in tmp_path.glob("False/tiny/*/*.npy")] == ["mean.npy"]


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_the_size_said_beforehand_is_that_of_the_files(net, dtype, noise, splits, tmp_path):
    split = splits["val"][1]
    store(split, tmp_path, make_metric(net), dtype, noise=noise)
    headers = 128 * (1 + noise)
    size = sum(file.stat().st_size for file in tmp_path.glob("tiny/*/*.npy"))
    assert size == features_bytes(net, len(split), dtype, noise=noise) + headers


def test_the_metric_is_left_as_it_was(splits, tmp_path):
    model = RankingModel("alex", "tune", "0.1", WEIGHTS["alex"])
    before = {key: (value.stride(), value.clone()) for key, value in model.metric.state_dict().items()}
    stored_features(model.metric, splits["val"][0], tmp_path, "float32", CPU, noise=True)
    for key, value in model.metric.state_dict().items():
        assert value.stride() == before[key][0]
        assert torch.equal(value, before[key][1])
    # Not tensors of inference mode either: these could not be learnt.
    sum(d.sum() for d in model.distances(ImageBatch(*images(1)))).backward()
