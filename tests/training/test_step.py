"""The options of a step, and that a GPU is not waited for in it."""

import numpy as np
import pytest
import torch

from lpips_repro.backbones import gaussian_state
from lpips_repro.errors import UserError
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training.model import RankingModel
from lpips_repro.training.step import TrainingStep
from lpips_repro.training.step_sums import StepSums
from lpips_repro.training.triplets import ImageTriplets
from tests.training.tiny import BATCH, CPU, trainer

VARIANTS = ("lin", "tune", "scratch")
ONE_LINE = (
    r"^trainer\.compile=true: RuntimeError: no C\+\+ compiler: install a C\+\+ compiler such as g\+\+"
    r" \(for a GPU triton\) if there is none, or set it to false$"
)


def take_steps(splits, variant, *overrides, device=CPU, resident=False, counts=(BATCH, BATCH, BATCH - 2)):
    """A model after steps of so many triplets, and their losses."""
    torch.manual_seed(0)
    model = RankingModel("alex", variant, "0.1", gaussian_state("alex", 0)).to(device)
    triplets = ImageTriplets(splits["train"], device, resident=resident)
    training_step = TrainingStep(model, make_optimizer(model, 1e-4), trainer(*overrides), 0)
    losses = [training_step(triplets, np.arange(count), step).loss.item() for step, count in enumerate(counts)]
    return model, losses


@pytest.mark.parametrize("variant", VARIANTS)
def test_bfloat16_keeps_weights_and_distances_in_float32_and_learns_nearly_the_same(splits, variant):
    model, losses = take_steps(splits, variant, "precision=bfloat16")
    _, full = take_steps(splits, variant)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert losses != full
    assert losses == pytest.approx(full, rel=1e-2)  # 8 bits of precision in the feature maps, averaged over many places


def test_bfloat16_is_of_steps_and_not_of_validation(splits):
    model, _ = take_steps(splits, "tune", "precision=bfloat16", counts=())
    plain, _ = take_steps(splits, "tune", counts=())
    triplets = ImageTriplets(splits["val"], CPU)
    with torch.inference_mode():
        for one, other in zip(*(m.distances(triplets.batch(np.arange(5))) for m in (model, plain)), strict=True):
            assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["lin", "tune"])
def test_a_compiled_step_learns_the_same_and_a_smaller_batch_is_not_compiled(splits, variant):
    graphs = []
    for counts in ((BATCH,), (BATCH, BATCH, BATCH - 2)):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        model, losses = take_steps(splits, variant, "compile=true", counts=counts)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[1] > 0
    # Its sums have another order; Adam makes of that what rounding decides.
    plain, full = take_steps(splits, variant)
    assert losses == pytest.approx(full, rel=1e-4)
    for (key, value), (_, wanted) in zip(model.state_dict().items(), plain.state_dict().items(), strict=True):
        assert (value - wanted).norm() <= 1e-3 * wanted.norm(), key


def test_tf32_is_refused_where_there_is_no_gpu(splits):
    with pytest.raises(UserError, match=r"^trainer\.precision=tf32: only a GPU has TF32: use float32 or bfloat16$"):
        take_steps(splits, "tune", "precision=tf32")


def test_without_a_compiler_the_reason_and_the_remedy_are_one_line(splits, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no C++ compiler\nand so on")

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(UserError, match=ONE_LINE):
        take_steps(splits, "tune", "compile=true")


def test_the_draws_of_a_step_need_no_state(splits):
    _, losses = take_steps(splits, "tune")
    torch.manual_seed(0)
    model = RankingModel("alex", "tune", "0.1", gaussian_state("alex", 0))
    optimizer, triplets, again = make_optimizer(model, 1e-4), ImageTriplets(splits["train"], CPU), []
    for step, count in enumerate((BATCH, BATCH, BATCH - 2)):
        fresh = TrainingStep(model, optimizer, trainer(), 0)  # as after a new start
        again.append(fresh(triplets, np.arange(count), step).loss.item())
    assert again == losses


@pytest.mark.cuda
@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gpu_is_not_waited_for_in_a_step(splits, variant, precision, resident):
    device = torch.device("cuda")
    model = RankingModel("alex", variant, "0.1", gaussian_state("alex", 0)).to(device)
    triplets = ImageTriplets(splits["train"], device, resident=resident)
    training_step = TrainingStep(model, make_optimizer(model, 1e-4), trainer(f"precision={precision}"), 0)
    sums = StepSums(device)
    sums.add(0, *training_step(triplets, np.arange(BATCH), 0))  # the first one sets up
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in (1, 2):
            sums.add(step, *training_step(triplets, np.arange(BATCH), step))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert sums.means()["loss"] > 0
