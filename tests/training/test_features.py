import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel
from torch import Tensor

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.backbones.weights import imagenet_state
from lpips_repro.datasets.mini.build import build_mini
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.training import features
from lpips_repro.training.dropout import Dropout
from lpips_repro.training.features import channel_statistics, features_bytes, stored_features
from lpips_repro.training.model import RankingModel
from lpips_repro.training.rows import Rows
from lpips_repro.training.step import make_optimiser, update
from lpips_repro.training.triplets import FeatureTriplets, ImageTriplets
from lpips_repro.training.validation import validate
from tests.datasets.full_disk import run_on_full_disk
from tests.training.tiny import CPU

NETS = ("alex", "squeeze", "vgg")
WEIGHTS = {net: gaussian_state(net, seed=1) for net in NETS}
FIELDS = ("mean.npy", "noise.npy")


def make_model(net: str = "alex", seed: int = 0, weights: dict[str, Tensor] | None = None, **settings) -> RankingModel:
    torch.manual_seed(seed)
    return RankingModel(net, "lin", "0.1", weights or WEIGHTS[net], **settings)


def make_metric(net: str = "alex", version: str = "0.1", weights: dict[str, Tensor] | None = None) -> LPIPS:
    return LPIPS(net, "off_the_shelf", version, weights or WEIGHTS[net])


def images(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    ref, noise0, noise1 = (torch.rand(count, 3, 64, 64, generator=generator) * 2 - 1 for _ in range(3))
    return [ref, ref.lerp(noise0, 0.3), ref.lerp(noise1, 0.6)]


def on_features(
    model: RankingModel, splits: list[PackedSplit], root: Path, dtype: str = "float32", *, noise: bool = True
) -> FeatureTriplets:
    stored = [stored_features(model.metric, split, root, dtype, CPU, noise=noise) for split in splits]
    return FeatureTriplets(splits, CPU, stored)


def train(
    model: RankingModel, triplets: ImageTriplets, steps: int, *, batch: int, rate: float, seed: int = 0, drawn: int = 0
) -> list[float]:
    """The losses of so many steps; seed: of the order; drawn: the seed of dropout."""
    optimiser = make_optimiser(model, rate)
    order, dropout = np.random.default_rng(seed), Dropout(torch.Generator().manual_seed(drawn))
    per_epoch = -(-len(triplets) // batch)
    losses = []
    for step in range(steps):
        if step % per_epoch == 0:
            numbers = order.permutation(len(triplets))
        indices = numbers[step % per_epoch * batch :][:batch]
        loss = model.ranking(*triplets.distances(model, indices, dropout), triplets.votes(indices))
        update(model, optimiser, loss)
        losses.append(loss.item())
    return losses


# What is stored.


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


DRAWS = 2000


@pytest.mark.parametrize("way", ["dropout", "features"])
def test_distances_and_gradients_have_the_moments_of_dropout(way):
    # Both ways against what the stored numbers say. Six standard errors: of a mean, deviation / sqrt(draws); of a
    # variance, sqrt((kurtosis - 1) / draws) of it, where the kurtosis is at most a normal variable's, 3.
    model, triplet = make_model(), images(1)
    mean, noise = channel_statistics(model.metric, *triplet)
    several = 100
    once = model.metric.backbone(torch.cat([(image - model.metric.shift) / model.metric.scale for image in triplet]))
    maps = [feature_map.repeat_interleave(several, dim=0) for feature_map in once]
    model.metric.backbone.forward = lambda images: maps  # the same triplet so many times, through the backbone once
    expanded = [image.expand(several, -1, -1, -1) for image in triplet]
    dropout = Dropout(torch.Generator().manual_seed(0))
    distances, gradients = [], []
    for _ in range(DRAWS // several):
        if way == "dropout":
            pair = model.distances(*expanded, dropout)
        else:
            pair = model.distances_from_features(mean.expand(several, -1, -1), noise.expand(several, -1, -1), dropout)
        each = torch.eye(several)
        gradients.append(
            [torch.autograd.grad(d, model.lin, each, is_grads_batched=True, retain_graph=True)[0] for d in pair]
        )
        distances.append([d.detach() for d in pair])
    error = DRAWS**-0.5
    columns = []
    for which in range(2):
        d = torch.cat([pair[which] for pair in distances]).double()
        g = torch.cat([pair[which] for pair in gradients]).double()
        w, m, s = model.lin.detach().double(), mean[0, which].double(), noise[0, which].double()
        deviation = (w * s).norm()  # the channels are dropped independently
        assert abs(d.mean() - w @ m) <= 6 * error * deviation
        assert d.var().item() == pytest.approx(deviation.item() ** 2, rel=6 * 2**0.5 * error)
        assert ((g.mean(dim=0) - m).abs() <= 6 * error * s + 1e-7 * m).all()
        assert ((g.var(dim=0) - s**2).abs() <= 6 * 2**0.5 * error * s**2).all()
        # All channels together: as many times more draws.
        ratios = g.var(dim=0)[s > 0] / s[s > 0] ** 2
        assert ratios.mean().item() == pytest.approx(1, abs=6 * 2**0.5 * error * len(ratios) ** -0.5)
        columns.append(d)
    assert abs(torch.corrcoef(torch.stack(columns))[0, 1]) <= 6 * error  # d0 and d1 are dropped out independently


def test_the_direct_distances_come_back_from_the_stored_ones(splits, tmp_path):
    model, direct = make_model(), ImageTriplets(splits["train"], CPU)
    stored = on_features(model, splits["train"], tmp_path)
    indices = np.random.default_rng(0).permutation(len(direct))  # of both splits, mixed
    with torch.no_grad():
        for found, wanted in zip(stored.distances(model, indices), direct.distances(model, indices), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)
    assert torch.equal(stored.votes(indices), direct.votes(indices))


def test_rows_are_gathered_by_their_number_through_all_arrays():
    arrays = [np.arange(3)[:, None] + 10, np.arange(0)[:, None], np.arange(4)[:, None] + 20]
    indices = np.array([6, 0, 3, 2, 3])
    for resident in (False, True):
        assert Rows(arrays, CPU, resident=resident)[indices].flatten().tolist() == [23, 10, 20, 12, 20]


# That training on it is the same training.


@pytest.mark.parametrize("rate", [1e-4, 1e-3])
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_without_dropout_lin_weights_follow_the_direct_path(net, rate, splits, tmp_path):
    direct, stored = (make_model(net, dropout=False) for _ in range(2))
    start = direct.lin.detach().clone()
    for model, triplets in (
        (direct, ImageTriplets(splits["train"], CPU)),
        (stored, on_features(stored, splits["train"], tmp_path)),
    ):
        train(model, triplets, steps=70, batch=6, rate=rate)
    assert (direct.lin - start).abs().max() > 10 * rate
    assert (direct.lin - stored.lin).abs().max() <= 1e-5
    for ours, theirs in zip(direct.ranking.parameters(), stored.ranking.parameters(), strict=True):
        assert (ours - theirs).abs().max() <= 1e-5


def test_float16_features_keep_distances_and_noise_to_half_a_thousandth(splits, tmp_path):
    # Half precision rounds to 2^-11 of a value, and a sum of such values without negative ones is no further off.
    model = make_model("squeeze")
    full, half = (on_features(model, splits["train"], tmp_path, dtype) for dtype in ("float32", "float16"))
    indices = np.arange(len(full))
    with torch.no_grad():
        for found, wanted in zip(half.distances(model, indices), full.distances(model, indices), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1.01 * 2**-11, atol=1e-8)
    for ours, theirs in zip(half.features, full.features, strict=True):
        assert ours.noise.dtype == np.float16
        np.testing.assert_allclose(ours.noise / np.float32(ours.scale), theirs.noise, rtol=1.01 * 2**-11, atol=1e-10)


def test_training_on_float16_features_is_close_to_that_on_float32(splits, tmp_path):
    models = {dtype: make_model("alex") for dtype in ("float32", "float16")}
    for dtype, model in models.items():
        train(model, on_features(model, splits["train"], tmp_path, dtype), steps=70, batch=6, rate=1e-3)
    assert (models["float32"].lin - models["float16"].lin).abs().max() <= 5e-4  # they move by up to 0.09


SEEDS = range(5)


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
    """A small mini dataset by phase: 120 triplets to learn from, 240 to validate on."""
    folder, made = tmp_path_factory.mktemp("mini"), {}
    settings = {"train": 40, "val": 40, "jnd": 1, "autoencoders": 2, "autoencoder_steps": 2}
    for split in build_mini(folder, seed=0, workers=1, **settings):
        if split.card["kind"] == "2afc":
            made.setdefault(split.card["phase"], []).append(split)
    return made


def outcome(
    triplets: ImageTriplets,
    train_set: ImageTriplets,
    val_set: ImageTriplets,
    weights: dict[str, Tensor],
    seed: int,
    drawn: int,
    *,
    dropout: bool,
) -> dict[str, float]:
    """Train on triplets, and what came out, judged on the same features whichever way it was trained."""
    model = make_model(seed=seed, weights=weights, dropout=dropout)
    losses = train(model, triplets, steps=180, batch=20, rate=3e-3, seed=seed, drawn=drawn)
    found = {"loss in training": float(np.mean(losses))}
    with torch.no_grad():
        for name, of in (("training loss", train_set), ("validation loss", val_set)):
            indices = np.arange(len(of))
            found[name] = model.ranking(*of.distances(model, indices), of.votes(indices)).item()
    return found | {"validation 2AFC": validate(model, {"all": val_set}, lambda: None).scores["mean"]}


def paired_t(ones: list[dict[str, float]], others: list[dict[str, float]]) -> dict[str, float]:
    """Student's t of pairs, by figure: the mean difference in its standard errors."""
    return {key: ttest_rel(*([o[key] for o in group] for group in (ones, others)))[0] for key in ones[0]}


@pytest.mark.slow
def test_with_dropout_losses_and_scores_do_not_differ_beyond_seed_noise(mini, imagenet, tmp_path):
    # Both ways begin with the same weights and take the same batches in each of five pairs: what differs is what is
    # drawn for dropout. Beyond 4.6 standard errors, at 4 degrees of freedom, is 1 % of comparisons with no difference.
    # That this would be noticed: leaving dropout out shows in both training losses.
    weights = imagenet_state("alex", download=False)
    metric = make_model(weights=weights)
    train_set, val_set = (on_features(metric, mini[phase], tmp_path) for phase in ("train", "val"))

    def group(triplets: ImageTriplets, drawn: int, dropout: bool = True) -> list[dict[str, float]]:
        return [outcome(triplets, train_set, val_set, weights, seed, drawn + seed, dropout=dropout) for seed in SEEDS]

    direct, stored = group(ImageTriplets(mini["train"], CPU), 1000), group(train_set, 2000)
    for key in direct[0]:
        columns = [np.array([found[key] for found in way]) for way in (direct, stored)]
        print(key, *(f"{column.mean():.4f}+-{column.std(ddof=1):.4f}" for column in columns))
    same = paired_t(stored, direct)
    without = paired_t(group(train_set, 0, dropout=False), direct)
    print(same, without)
    assert all(abs(t) < 4.6 for t in same.values()), same
    assert without["training loss"] < -4.6
    assert without["loss in training"] < -4.6


# How it is stored.


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
def test_an_interrupted_pass_goes_on_where_it_stopped_to_the_same_bytes(
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
from lpips_repro.cli import run
from lpips_repro.datasets.packed import open_split
from lpips_repro.training import features
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
    assert error.startswith(f"error: {folder}: File too large: what is done stays, and the next run goes on from there")
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
    sum(d.sum() for d in model.distances(*images(1))).backward()
