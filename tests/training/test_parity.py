"""Our training step against that of the released `lpips.Trainer`: same initial weights, same batches, no dropout."""

from collections.abc import Iterator
from typing import NamedTuple

import lpips as released
import pytest
import torch
from torch import Tensor

from lpips_repro.backbones import gaussian_state, torchvision_state
from lpips_repro.metrics.lpips.released import write_released_state
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training.batch import ImageBatch
from lpips_repro.training.model import RankingModel
from lpips_repro.training.step import update
from lpips_repro.weights.imagenet import imagenet_state
from tests.slow import slow_but

VARIANTS = ("lin", "tune", "scratch")
VERSIONS = ("0.0", "0.1")
RATE = 1e-4
TRIPLETS = 2  # in a batch


class Step(NamedTuple):
    """What one step gave on one side."""

    loss: Tensor
    distances: Tensor
    weights: dict[str, Tensor]


def make_model(
    net: str, variant: str, weights: dict[str, Tensor], version: str = "0.1", *, clamp: bool = True
) -> RankingModel:
    torch.manual_seed(7)
    return RankingModel(net, variant, version, weights, released_clamp=clamp)


def make_trainer(model: RankingModel) -> released.Trainer:
    """The released trainer with the weights of a model of ours, its dropout switched off."""
    trainer = released.Trainer()
    trainer.initialize(
        net=model.metric.backbone.name,
        version=model.metric.version,
        pnet_rand=True,  # not downloaded: overwritten below
        pnet_tune=model.variant != "lin",
        use_gpu=False,
        is_train=True,
        lr=RATE,
    )
    trainer.net.load_state_dict(released_weights(model), strict=True)
    trainer.rankLoss.net.load_state_dict(released_ranking(model), strict=True)
    trainer.net.eval()
    if model.lin.dtype == torch.float64:
        trainer.net.double()
        trainer.rankLoss.double()
    return trainer


def released_weights(model: RankingModel) -> dict[str, Tensor]:
    metric = model.metric
    return write_released_state(metric.backbone, model.lin_by_layer(), metric.shift, metric.scale)


def released_ranking(model: RankingModel) -> dict[str, Tensor]:
    """The ranking network under the released keys: its layers are 1x1 convolutions there."""
    state = model.ranking.net.state_dict()
    return {f"model.{k}": v.clone().view(*v.shape, 1, 1) if v.ndim == 2 else v.clone() for k, v in state.items()}


def batches(steps: int, dtype: torch.dtype = torch.float64) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    found = []
    for _ in range(steps):
        ref, noise0, noise1 = (torch.rand(TRIPLETS, 3, 64, 64, generator=generator) * 2 - 1 for _ in range(3))
        share0, share1, judge = (torch.rand(TRIPLETS, 1, 1, 1, generator=generator) for _ in range(3))
        batch = {"ref": ref, "p0": ref.lerp(noise0, share0), "p1": ref.lerp(noise1, share1), "judge": judge}
        found.append({name: value.to(dtype) for name, value in batch.items()})
    return found


def our_steps(model: RankingModel, data: list[dict[str, Tensor]]) -> Iterator[Step]:
    optimizer = make_optimizer(model, RATE)
    for batch in data:
        d0, d1 = model.distances(ImageBatch(batch["ref"], batch["p0"], batch["p1"]))
        loss = model.ranking(d0, d1, batch["judge"].flatten())
        update(model, optimizer, loss)
        yield Step(loss.detach(), torch.stack((d0, d1)).detach(), released_weights(model) | released_ranking(model))


def their_steps(trainer: released.Trainer, data: list[dict[str, Tensor]]) -> Iterator[Step]:
    for batch in data:
        trainer.set_input(batch)
        trainer.optimize_parameters()
        weights = trainer.net.state_dict() | trainer.rankLoss.net.state_dict()
        weights = {key: value.clone() for key, value in weights.items()}
        distances = torch.stack((trainer.d0, trainer.d1)).detach().view(2, -1)
        yield Step(trainer.loss_total.detach(), distances, weights)


def deviations(model: RankingModel, data: list[dict[str, Tensor]]) -> dict[str, float]:
    """The largest difference over all steps, of the losses, of the distances and of each kind of weights."""
    before = released_weights(model)
    largest: dict[str, float] = {}
    trainer = make_trainer(model)
    for ours, theirs in zip(our_steps(model, data), their_steps(trainer, data), strict=True):
        assert ours.weights.keys() == theirs.weights.keys()
        pairs = [("loss", ours.loss, theirs.loss), ("distances", ours.distances, theirs.distances)]
        pairs += [(key.split(".")[0], ours.weights[key], theirs.weights[key]) for key in ours.weights]
        for name, found, wanted in pairs:
            largest[name] = max(largest.get(name, 0.0), (found - wanted).abs().max().item())
    # Not that nothing was learnt on either side.
    learnt = [key for key, value in released_weights(model).items() if not torch.equal(value, before[key])]
    assert {key.split(".")[0] for key in learnt} >= {"lin0"} | ({"net"} if model.variant != "lin" else set())
    return largest


def initial_weights(net: str, variant: str) -> dict[str, Tensor]:
    return torchvision_state(net, 3) if variant == "scratch" else gaussian_state(net, 3)


# What differs is the order of sums: some 1e-14 was measured.
TOLERANCE = 1e-8


FEW = [("alex", "lin"), ("squeeze", "tune"), ("alex", "scratch")]
EVERY = [(net, variant) for net in ("alex", "squeeze") for variant in VARIANTS]


@pytest.mark.parametrize(("net", "variant"), slow_but(FEW, EVERY))
def test_twenty_steps_are_those_of_the_released_trainer(net, variant):
    model = make_model(net, variant, initial_weights(net, variant)).double()
    assert max(deviations(model, batches(20)).values()) <= TOLERANCE


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_the_released_clamp_alex_follows_too_once_its_lin_weights_are_projected(variant):
    # It has no 1x1 convolution of its own: the released clamp differs only in where the lin weights start.
    model = make_model("alex", variant, initial_weights("alex", variant), clamp=False).double()
    assert model.lin.min() == 0
    assert max(deviations(model, batches(3)).values()) <= TOLERANCE


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_version_0_0_is_that_of_the_released_trainer(net, variant):
    model = make_model(net, variant, initial_weights(net, variant), "0.0").double()
    assert max(deviations(model, batches(3)).values()) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_three_steps_of_vgg_are_those_of_the_released_trainer(version, variant):
    model = make_model("vgg", variant, initial_weights("vgg", variant), version, clamp=False).double()
    assert max(deviations(model, batches(3)).values()) <= TOLERANCE


@pytest.mark.parametrize("variant", ["lin", "tune"])
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_steps_from_imagenet_weights_are_those_of_the_released_trainer(net, variant, imagenet):
    model = make_model(net, variant, imagenet_state(net, download=False)).double()
    assert max(deviations(model, batches(3)).values()) <= TOLERANCE


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_lin_is_that_of_the_released_trainer_in_float32(net):
    # Adam divides by the size of the gradient, so what is lost in last bits does not stay there.
    model = make_model(net, "lin", initial_weights(net, "lin"))
    assert max(deviations(model, batches(20, torch.float32)).values()) <= 1e-5


def test_lin_leaves_the_backbone_of_squeeze_alone():
    model = make_model("squeeze", "lin", initial_weights("squeeze", "lin"), clamp=False)
    before = {key: value.clone() for key, value in model.metric.backbone.state_dict().items()}
    for _ in our_steps(model, batches(2, torch.float32)):
        pass
    assert all(torch.equal(value, before[key]) for key, value in model.metric.backbone.state_dict().items())


def test_the_released_clamp_changes_the_frozen_backbone_of_squeeze_at_the_first_step(imagenet):
    before = imagenet_state("squeeze", download=False)
    model = make_model("squeeze", "lin", before)
    after = model.metric.backbone.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in after)
    theirs = next(their_steps(make_trainer(model), batches(1, torch.float32))).weights
    ours = next(our_steps(model, batches(1, torch.float32))).weights
    backbone = [key for key in ours if key.startswith("net.")]
    assert all(torch.equal(ours[key], theirs[key]) for key in backbone)
    after = model.metric.backbone.state_dict()
    moved = {key: (after[key] - before[key]).abs().max().item() for key in after}
    assert {key.rpartition(".")[0].rpartition(".")[2] for key in moved if moved[key]} == {"squeeze", "expand1x1"}
    assert 1.4 < max(moved.values()) < 1.6
