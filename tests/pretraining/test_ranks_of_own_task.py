"""A user's task learns under torchrun as in one process, whatever it draws, or it is an error with the remedy."""

import contextlib

import pytest
import torch
from torch import nn
from torch.nn import functional

from lpips_repro.devices import one_thread
from lpips_repro.distributed import Ranks, started_ranks
from lpips_repro.errors import UserError
from lpips_repro.photographs.crops import Crops
from lpips_repro.pretraining import loop
from lpips_repro.pretraining.loop import Pretraining, fit
from lpips_repro.pretraining.step import PretextStep
from lpips_repro.pretraining.tasks import PretextTask, Score
from lpips_repro.pretraining.tasks.task import draw_views
from tests.pretraining.learning import patches
from tests.pretraining.tiny import tiny_config
from tests.processes import as_ranks

CPU = torch.device("cpu")
SIDE = 33


class Turned(PretextTask):
    """Three examples per crop, of which each kind has a layer of its own. No layer sees the last kind."""

    shown = ()
    scores = ("loss",)

    def __init__(self, dropout=0.0):
        torch.manual_seed(0)
        super().__init__("squeeze", 0)
        self.heads = nn.ModuleList(nn.Linear(self.backbone.spec.channels[-1], 1) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def draw(self, crops, generator):
        views = draw_views(crops, SIDE, generator)
        turned = torch.cat([views.rot90(turns, (2, 3)) for turns in range(3)])
        return turned.to(self.heads[0].weight.dtype), torch.arange(3).repeat_interleave(len(crops))

    def loss(self, given, wanted):
        found = self.dropout(self.backbone(given)[-1].mean(dim=(2, 3)))
        losses = [functional.softplus(self.heads[kind](found[wanted == kind])).sum() for kind in wanted.unique()]
        return sum(losses) / len(given), {}

    def score(self, given, wanted):
        return {"loss": Score(self.loss(given, wanted)[0].item(), 0.0)}


def run_of(folder, task, check_stop, ranks):
    cfg = tiny_config("splitbrain", "optimizer=sgd", "task.learning_rate=1e-2", "task.batch_size=3", "task.steps=4")
    crops = Crops(patches(7, SIDE).numpy(), patches(3, SIDE, "val").numpy(), "digest")
    return Pretraining(folder, {}, task, crops, cfg, CPU, check_stop, ranks=ranks)


def learn(folder):
    folder.mkdir(exist_ok=True)
    with started_ranks() as ranks:
        task = Turned().double()
        fit(run_of(folder, task, lambda flag=False: flag, ranks))
        if ranks.first:
            torch.save(task.state_dict(), folder / "task.pt")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(loop, "SCORED", 3)


# Nine examples in three groups: of two ranks none sees all kinds, of four some see one kind.
@pytest.mark.parametrize("processes", [2, 4])
def test_a_task_may_draw_several_examples_per_crop_and_use_its_layers_for_some(tmp_path, processes):
    with one_thread(), torch.random.fork_rng(devices=[]):
        learn(tmp_path / "one")
    as_ranks(processes, tmp_path / "output", learn, tmp_path / "several")
    one, several = (torch.load(tmp_path / name / "task.pt", weights_only=True) for name in ("one", "several"))
    begun = Turned().double().state_dict()
    assert torch.equal(one["heads.3.weight"], begun["heads.3.weight"])
    for key in ("heads.0.weight", "heads.1.weight", "heads.2.weight"):
        assert not torch.equal(one[key], begun[key])
    torch.testing.assert_close(several, one, rtol=1e-9, atol=1e-9)  # the order of sums in float64


class Stop(Exception):
    pass


def test_a_task_with_dropout_resumes_as_if_it_had_not_been_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "Stopped", Stop)
    calls = []

    def second_step(flag=False):
        calls.append(flag)
        if len(calls) == 2:
            raise Stop
        return flag

    states = []
    with one_thread(), torch.random.fork_rng(devices=[]):
        for folder, check_stop in (("whole", lambda flag=False: flag), ("parts", second_step), ("parts", second_step)):
            (tmp_path / folder).mkdir(exist_ok=True)
            task = Turned(dropout=0.5)
            with contextlib.suppress(Stop):
                fit(run_of(tmp_path / folder, task, check_stop, Ranks()))
            states.append(task.state_dict())
    torch.testing.assert_close(states[2], states[0], rtol=0, atol=0)
    assert not torch.equal(states[1]["heads.0.weight"], states[0]["heads.0.weight"])


def masks_of(folder):
    with started_ranks() as ranks:
        task = Turned(dropout=0.5)
        numbers = []
        task.dropout.register_forward_pre_hook(lambda _, given: torch.ones_like(given[0]))
        task.dropout.register_forward_hook(lambda _, given, found: numbers.append(found[0] != 0))
        fit(run_of(folder, task, lambda flag=False: flag, ranks))
        torch.save(torch.stack([mask for mask in numbers if not mask.all()]), folder / f"{ranks.rank}.pt")


def test_each_process_has_its_own_dropout(tmp_path):
    as_ranks(2, tmp_path / "output", masks_of, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True)[0] for rank in range(2))
    assert (first != second).float().mean() > 0.3


@pytest.fixture(scope="module")
def task():
    return Turned()


CROPS = torch.zeros((4, SIDE, SIDE, 3), dtype=torch.uint8)
VIEWS, TWO = torch.zeros((4, 3, SIDE, SIDE)), torch.zeros(2)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (((VIEWS, VIEWS), TWO), "returned a tuple and a tensor of shape (2,): several processes need two tensors"),
        ((VIEWS, TWO), "returned a tensor of shape (4, 3, 33, 33) and a tensor of shape (2,): several processes"),
        ((VIEWS, None), "returned a tensor of shape (4, 3, 33, 33) and a NoneType: several processes need two"),
        ((torch.tensor(1), torch.tensor(1)), "returned a tensor of shape () and a tensor of shape (): several"),
        ((VIEWS[:2], TWO), "returned 2 examples for 3 processes, each of which needs one: set a larger task.batch"),
    ],
)
def test_what_processes_cannot_share_is_an_error(task, monkeypatch, drawn, message):
    monkeypatch.setattr(task, "draw", lambda *_: drawn)
    step = PretextStep(task, torch.optim.SGD(task.parameters()), tiny_config("splitbrain"), Ranks(1, 3))
    with pytest.raises(UserError) as error:
        step(CROPS, torch.Generator())
    assert str(error.value).startswith(f"Turned.draw: {message}")


def test_one_process_gives_the_loss_what_the_task_draws(task, monkeypatch):
    drawn, given = ((VIEWS, VIEWS), None), []
    monkeypatch.setattr(task, "draw", lambda *_: drawn)
    monkeypatch.setattr(task, "loss", lambda *examples: given.append(examples) or (task.heads[0].weight.sum(), {}))
    PretextStep(task, torch.optim.SGD(task.parameters()), tiny_config("splitbrain"))(CROPS, torch.Generator())
    assert given == [drawn]
