from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel
from torch import Tensor

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.datasets.mini.build import build_mini
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.features.stored import channel_statistics, stored_features
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training.batch import FeatureBatch, ImageBatch
from lpips_repro.training.concatenated import ConcatenatedArrays
from lpips_repro.training.dropout import Dropout
from lpips_repro.training.model import RankingModel
from lpips_repro.training.step import update
from lpips_repro.training.triplets import FeatureTriplets, ImageTriplets
from lpips_repro.training.validation import validate
from lpips_repro.weights.imagenet import imagenet_state
from tests.training.tiny import CPU

NETS = ("alex", "squeeze", "vgg")
WEIGHTS = {net: gaussian_state(net, seed=1) for net in NETS}


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
    optimizer = make_optimizer(model, rate)
    order, dropout = np.random.default_rng(seed), Dropout(torch.Generator().manual_seed(drawn))
    per_epoch = -(-len(triplets) // batch)
    losses = []
    for step in range(steps):
        if step % per_epoch == 0:
            numbers = order.permutation(len(triplets))
        indices = numbers[step % per_epoch * batch :][:batch]
        loss = model.ranking(*model.distances(triplets.batch(indices), dropout), triplets.votes(indices))
        update(model, optimizer, loss)
        losses.append(loss.item())
    return losses


# What is stored.


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
            pair = model.distances(ImageBatch(*expanded), dropout)
        else:
            batch = FeatureBatch(mean.expand(several, -1, -1), noise.expand(several, -1, -1))
            pair = model.distances(batch, dropout)
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
        for found, wanted in zip(
            model.distances(stored.batch(indices)), model.distances(direct.batch(indices)), strict=True
        ):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)
    assert torch.equal(stored.votes(indices), direct.votes(indices))


def test_rows_are_gathered_by_their_number_through_all_arrays():
    arrays = [np.arange(3)[:, None] + 10, np.arange(0)[:, None], np.arange(4)[:, None] + 20]
    indices = np.array([6, 0, 3, 2, 3])
    for resident in (False, True):
        assert ConcatenatedArrays(arrays, CPU, resident=resident)[indices].flatten().tolist() == [23, 10, 20, 12, 20]


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
        for found, wanted in zip(
            model.distances(half.batch(indices)), model.distances(full.batch(indices)), strict=True
        ):
            torch.testing.assert_close(found, wanted, rtol=1.01 * 2**-11, atol=1e-8)
    for ours, theirs in zip(half.features, full.features, strict=True):
        assert ours.noise.dtype == np.float16
        # torch 2.6 does not give the same bits in both passes, which the square root of a small variance magnifies.
        np.testing.assert_allclose(ours.noise / np.float32(ours.scale), theirs.noise, rtol=1.01 * 2**-11, atol=2e-7)


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
            found[name] = model.ranking(*model.distances(of.batch(indices)), of.votes(indices)).item()
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
