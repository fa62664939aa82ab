import math

import pytest
import torch

from lpips_repro.distributed import Ranks
from lpips_repro.training.step_sums import StepSums
from tests.training.tiny import CPU


def fill(sums, *, loss=1.0, norm=1.0, step=0):
    """A step of three triplets: p0 nearer, p1 nearer, neither."""
    d0, d1, judge = torch.tensor([1.0, 2, 3]), torch.tensor([2.0, 1, 3]), torch.tensor([0.2, 0.8, 0.0])
    sums.add(step, torch.tensor(loss), torch.tensor(norm), d0, d1, judge)


def test_means_are_over_steps_and_over_triplets():
    sums = StepSums(CPU)
    fill(sums, loss=1, norm=2)
    fill(sums, loss=2, norm=6)
    empty = torch.zeros(0)
    sums.add(2, torch.tensor(6.0), torch.tensor(1.0), empty, empty, empty)  # counts as a step, with no triplet
    # 0.8 of the judges chose p0 in the first, 0.8 chose p1 in the second; a tie counts a half
    assert sums.means() == pytest.approx({"loss": 3, "gradient_norm": 3, "train_2afc": (0.8 + 0.8 + 0.5) / 3})


def test_every_triplet_counts_alike_in_a_step_of_fewer():
    sums = StepSums(CPU)
    fill(sums)
    one = torch.ones(1)
    sums.add(1, torch.tensor(1.0), torch.tensor(1.0), 0 * one, one, 0 * one)
    assert sums.means()["train_2afc"] == pytest.approx((0.8 + 0.8 + 0.5 + 1) / 4)


def test_finite_steps_are_not_bad():
    sums = StepSums(CPU)
    fill(sums, loss=1e30, norm=0)
    assert sums.first_bad_step() is None


@pytest.mark.parametrize("what", ["loss", "norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_bad_step_is_kept(what, value):
    sums = StepSums(CPU)
    fill(sums, step=10)
    fill(sums, step=11, **{what: value})
    fill(sums, step=12)
    fill(sums, step=13, **{what: math.nan})
    assert sums.first_bad_step() == 11


@pytest.mark.parametrize("bad", [False, True])
def test_a_window_that_was_saved_continues(bad):
    whole, first = StepSums(CPU), StepSums(CPU)
    for sums in (whole, first):
        fill(sums, loss=math.nan if bad else 1.0, step=4)
    second = StepSums(CPU, first.values.clone())
    for sums in (whole, second):
        fill(sums, norm=3.0, step=5)
    assert second.values.tolist() == pytest.approx(whole.values.tolist(), nan_ok=True)
    assert second.first_bad_step() == (4 if bad else None)


def test_a_window_includes_what_another_one_counted():
    first, second, whole = StepSums(CPU), StepSums(CPU), StepSums(CPU)
    for sums in (first, whole):
        fill(sums, loss=1, norm=2, step=3)
    for sums in (second, whole):
        fill(sums, loss=math.nan, norm=4, step=4)
    first.include(second)
    assert first.values.tolist() == pytest.approx(whole.values.tolist(), nan_ok=True)
    assert (first.triplets, first.first_bad_step()) == (6, 4)


def test_a_step_number_beyond_float32_is_exact():
    sums = StepSums(CPU)
    fill(sums, loss=math.nan, step=2**24 + 1)
    assert sums.first_bad_step() == 2**24 + 1


class Both(Ranks):
    """One of two ranks; the parts of both are known."""

    def gather(self, value):
        return [sums.values.tolist() for sums in self.parts]


def test_the_total_of_two_ranks_is_that_of_one_process():
    parts = []
    for rank in range(2):
        ranks = Both(rank, 2)
        object.__setattr__(ranks, "parts", parts)
        parts.append(StepSums(CPU, ranks=ranks))
    for sums in parts:  # each with its part of the loss, and the same norm
        fill(sums, loss=0.5, norm=2.0, step=3)
    saved = [sums.total() for sums in parts]
    assert saved[0].values.tolist() == saved[1].values.tolist()
    assert saved[0].means() == pytest.approx({"loss": 1, "gradient_norm": 2, "train_2afc": (0.8 + 0.8 + 0.5) / 3})
    # Saved sums are continued by the first rank only.
    assert StepSums(CPU, saved[0].values, Both(1, 2)).values[:-1].sum() == 0


def test_nothing_of_the_graph_is_kept():
    sums = StepSums(CPU)
    d0 = torch.ones(2, requires_grad=True) * 2
    sums.add(0, d0.sum(), d0.sum(), d0, d0, torch.ones(2))
    assert not sums.values.requires_grad
