"""The loop: what a run leaves, and that stopping, killing and starting again change none of it."""

import itertools
import json
import math
import random
import re

import numpy as np
import pytest
import torch

from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.runs.signals import Stopped, stop_on_signals
from lpips_repro.training import loop
from lpips_repro.training.loop import fit
from lpips_repro.training.step import TrainingStep
from lpips_repro.training.validation import Validation
from lpips_repro.training.watch import TrainingWatch
from tests.slow import slow_but
from tests.training.tiny import (
    BATCH,
    EPOCHS,
    KINDS,
    SPLITS,
    STEPS_PER_EPOCH,
    assert_same,
    checkpoint,
    make_run,
    metrics,
)

STEPS = EPOCHS * STEPS_PER_EPOCH
# Calls of `check_stop` in a run: after every step, and for each split of every validation.
CALLS = STEPS + (EPOCHS + 1) * len(SPLITS["val"])


class Killed(Exception):
    """The process ends here, and saves nothing."""


class After:
    """Raises at the n-th call."""

    def __init__(self, n, error):
        self.left, self.error = n, error

    def __call__(self, flag=False):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return flag


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    """Half of a run's time here: `test_watch` and `test_pictures` look at them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingWatch, "disagreements", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def undisturbed(splits, tmp_path_factory):
    """By kind: the folder and the scores of a run that nothing disturbed."""
    done = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp("undisturbed")
        done[kind] = folder, fit(make_run(folder, splits, kind))
    return done


def assert_same_run(folder, other):
    """Both checkpoints are the same to the bit, and metrics.csv but for throughput."""
    for name in ("last.pt", "best.pt"):
        assert_same(checkpoint(folder, name), checkpoint(other, name), name)
    for name in ("metrics.csv", "validation.csv"):
        assert metrics(folder, name) == metrics(other, name)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_weights_exactly(splits, tmp_path, undisturbed, kind):
    folder, scores = undisturbed[kind]
    assert fit(make_run(tmp_path, splits, kind)) == scores
    assert_same_run(tmp_path, folder)


@pytest.mark.parametrize("kind", slow_but(("lin on features", "tune"), KINDS))
def test_another_seed_gives_other_weights(splits, tmp_path, undisturbed, kind):
    fit(make_run(tmp_path, splits, kind, seed=1))
    assert not torch.equal(checkpoint(tmp_path)["model"]["lin"], checkpoint(undisturbed[kind][0])["model"]["lin"])


@pytest.mark.parametrize("kind", KINDS)
def test_what_learns_has_learned_and_what_is_frozen_has_not(splits, tmp_path, kind):
    run = make_run(tmp_path, splits, kind)
    before = {key: value.clone() for key, value in run.model.state_dict().items()}
    fit(run)
    for key, value in run.model.state_dict().items():
        frozen = kind != "tune" and key.startswith("metric.")
        assert torch.equal(value, before[key]) == frozen, key
    assert run.model.lin.min() >= 0


def test_every_epoch_uses_every_triplet_once_in_another_order(splits, tmp_path, monkeypatch):
    run = make_run(tmp_path, splits)
    taken, batch = [], run.train.batch

    def spy(indices):
        taken.append(indices)
        return batch(indices)

    monkeypatch.setattr(run.train, "batch", spy)
    fit(run)
    assert [len(indices) for indices in taken] == EPOCHS * ([BATCH] * (STEPS_PER_EPOCH - 1) + [4])
    epochs = np.concatenate(taken).reshape(EPOCHS, 40)
    for epoch in epochs:
        assert sorted(epoch) == list(range(40))
    assert len({tuple(epoch) for epoch in epochs}) == EPOCHS


def test_the_order_depends_on_the_seed(splits, tmp_path):
    one, other = (make_run(tmp_path, splits, seed=seed) for seed in (0, 1))
    assert one.numbers(0).tolist() == make_run(tmp_path, splits).numbers(0).tolist() != other.numbers(0).tolist()


@pytest.mark.parametrize(
    ("means", "best"), [((0.5, 0.7, 0.6, 0.65), 7), ((0.9, 0.7, 0.6, 0.65), 0), ((0.5, 0.7, 0.7, 0.8), 21)]
)
def test_best_pt_has_the_best_mean_and_last_pt_the_last(splits, tmp_path, monkeypatch, means, best):
    left = list(means)
    monkeypatch.setattr(loop, "validate", lambda *_: Validation({"color": 0.5, "deblur": 0.5, "mean": left.pop(0)}, []))
    scores = fit(make_run(tmp_path, splits))
    found, last = checkpoint(tmp_path, "best.pt"), checkpoint(tmp_path)
    assert (found["step"], found["scores"]["mean"]) == (best, max(means))
    assert (last["step"], last["scores"]) == (STEPS, scores)
    assert scores["mean"] == means[-1]
    assert [float(row["val_mean"]) for row in metrics(tmp_path, "validation.csv")] == [100 * mean for mean in means]


def test_the_rate_in_metrics_csv_is_that_of_the_schedule(splits, tmp_path):
    fit(make_run(tmp_path, splits, "lin on features", "schedule=paper"))
    rates = {int(row["step"]): float(row["learning_rate"]) for row in metrics(tmp_path)}
    # Entry n tells the rate of the step before it, number n - 1.
    expected = {n: 1e-3 * (1 - max(n - 1 - 14, 0) / 7) for n in (3, 6, 7, 9, 12, 14, 15, 18, 21)}
    assert rates == pytest.approx(expected, rel=1e-5)


def test_a_run_that_is_complete_gives_its_scores_again_and_trains_no_more(splits, tmp_path, monkeypatch):
    scores = fit(make_run(tmp_path, splits))
    before = {name: (tmp_path / name).read_bytes() for name in ("last.pt", "best.pt", "metrics.csv", "validation.csv")}
    monkeypatch.setattr(TrainingStep, "__call__", lambda *_: pytest.fail("trains"))
    assert fit(make_run(tmp_path, splits)) == scores
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def epoch_lines(caplog):
    """By epoch, loss and 2AFC in percent as its line says, and nothing for an epoch without."""
    found = {}
    for message in caplog.messages:
        if message.startswith("epoch "):
            said = re.search(r"loss ([0-9.]+), train 2AFC ([0-9.]+) %", message)
            found[int(message.split(",")[0].split()[1])] = said and tuple(map(float, said.groups()))
    return found


def test_the_line_of_an_epoch_has_its_means_over_all_triplets(splits, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    losses, credits = [], []
    take = TrainingStep.__call__

    def spy(self, *arguments):
        outcome = take(self, *arguments)
        losses.append(outcome.loss.item())
        d0, d1, judge = (values.double().numpy() for values in (outcome.d0, outcome.d1, outcome.judge))
        credits.extend(np.where(d0 == d1, 0.5, np.where(d1 < d0, judge, 1 - judge)))
        return outcome

    monkeypatch.setattr(TrainingStep, "__call__", spy)
    fit(make_run(tmp_path, splits))  # an entry every 3 of 7 steps: the last window is of 4 of 40 triplets
    expected = {0: None}
    for epoch in range(EPOCHS):
        loss = np.mean(losses[epoch * STEPS_PER_EPOCH : (epoch + 1) * STEPS_PER_EPOCH])
        credit = 100 * np.mean(credits[40 * epoch : 40 * (epoch + 1)])
        expected[epoch + 1] = (pytest.approx(loss, abs=6e-5), pytest.approx(credit, abs=6e-3))
    assert epoch_lines(caplog) == expected
    last_window = 100 * np.mean(credits[-4:])
    assert expected[EPOCHS][1] != last_window


@pytest.mark.parametrize("n", [2 + 4, 2 + 7, 2 + 8])  # in the middle of an epoch, at its end, in its validation
def test_the_line_of_an_epoch_is_the_same_after_a_stop_in_it(splits, tmp_path, caplog, n):
    caplog.set_level("INFO")
    fit(make_run(tmp_path / "whole", splits))
    whole = epoch_lines(caplog)
    caplog.clear()
    with pytest.raises(Stopped):
        fit(make_run(tmp_path / "parts", splits, check_stop=After(n, Stopped())))
    fit(make_run(tmp_path / "parts", splits))
    assert epoch_lines(caplog) == whole


def test_a_checkpoint_without_the_sums_of_its_epoch_gives_no_wrong_line(splits, tmp_path, caplog):
    caplog.set_level("INFO")
    with pytest.raises(Stopped):
        fit(make_run(tmp_path, splits, check_stop=After(2 + 4, Stopped())))
    content = checkpoint(tmp_path)
    del content["epoch"]  # as earlier versions of the code wrote it
    torch.save(content, tmp_path / "last.pt")
    fit(make_run(tmp_path, splits))
    lines = epoch_lines(caplog)
    assert lines[1] is None
    assert lines[2] is not None


def test_a_run_that_an_earlier_version_began_continues_to_the_same_weights(splits, tmp_path, undisturbed):
    with pytest.raises(Stopped):
        fit(make_run(tmp_path, splits, check_stop=After(2 + 7 + 2 + 3, Stopped())))
    for name in ("last.pt", "best.pt"):
        content = torch.load(tmp_path / name, weights_only=True)
        content["optimiser"] = content.pop("optimizer")
        earlier = {"format", "identity", "step", "validations", "scores", "best", "model", "optimiser", "window"}
        torch.save({key: content[key] for key in earlier}, tmp_path / name)
    folder, scores = undisturbed["lin on features"]
    assert fit(make_run(tmp_path, splits)) == scores
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    assert last["seconds"] is None  # how long the first start took is not known
    for key in ("model", "optimizer"):
        assert_same(last[key], checkpoint(folder)[key], key)


def test_the_time_of_all_starts_is_counted(splits, tmp_path):
    with pytest.raises(Stopped):
        fit(make_run(tmp_path, splits, check_stop=After(2 + 4, Stopped())))
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    assert content["seconds"] > 0
    torch.save({**content, "seconds": 1000.0}, tmp_path / "last.pt")
    fit(make_run(tmp_path, splits))
    assert 1000 < torch.load(tmp_path / "last.pt", weights_only=True)["seconds"] < 1100


DAMAGED = [*((kind, "cut") for kind in KINDS), ("lin on features", "missing")]
SHOWN = [("lin on features", "missing"), ("tune", "cut")]


@pytest.mark.parametrize(("kind", "damage"), slow_but(SHOWN, DAMAGED))
def test_from_the_best_checkpoint_a_run_whose_last_one_is_not_whole_ends_the_same(
    splits, tmp_path, undisturbed, kind, damage
):
    with pytest.raises(Killed):  # within the second epoch, at a step that is saved
        override = "checkpoint_minutes=1e-9"
        fit(make_run(tmp_path, splits, kind, override, check_stop=After(2 + 7 + 2 + 3, Killed())))
    assert checkpoint(tmp_path)["step"] > checkpoint(tmp_path, "best.pt")["step"]
    last = tmp_path / "last.pt"
    content = last.read_bytes()
    last.unlink()
    if damage == "cut":
        last.write_bytes(content[: len(content) // 2])
    folder, scores = undisturbed[kind]
    assert fit(make_run(tmp_path, splits, kind)) == scores
    assert_same_run(tmp_path, folder)
    assert (tmp_path / "last.pt.damaged").is_file() == (damage == "cut")


# Before and after the first validation, the first step, in and after an epoch, in its validation, and at the end.
MOMENTS = (1, 2, 3, 6, 9, 10, 11, 15, CALLS)


@pytest.mark.parametrize("n", slow_but(MOMENTS, range(1, CALLS + 1)))
def test_stopped_at_any_moment_a_run_continues_as_if_nothing_had_been(splits, tmp_path, undisturbed, n):
    with pytest.raises(Stopped):
        fit(make_run(tmp_path, splits, check_stop=After(n, Stopped())))
    folder, scores = undisturbed["lin on features"]
    assert fit(make_run(tmp_path, splits)) == scores
    assert_same_run(tmp_path, folder)


@pytest.mark.parametrize("kind", slow_but(("lin on features", "tune"), KINDS))
def test_stopped_again_and_again(splits, tmp_path, undisturbed, kind):
    moments, stops, scores = random.Random(kind), 0, None
    for _ in range(CALLS):
        try:
            scores = fit(make_run(tmp_path, splits, kind, check_stop=After(moments.randint(1, 8), Stopped())))
            break
        except Stopped:
            stops += 1
    assert stops > 2
    folder, undisturbed_scores = undisturbed[kind]
    assert scores == undisturbed_scores
    assert_same_run(tmp_path, folder)


# No checkpoint within an epoch, and one after every step.
KILLED = [(kind, minutes) for kind in KINDS for minutes in ("5", "1e-9")]


@pytest.mark.parametrize(
    ("kind", "minutes"), slow_but([("lin on features", "5"), ("lin on features", "1e-9"), ("tune", "5")], KILLED)
)
def test_killed_again_and_again(splits, tmp_path, undisturbed, kind, minutes):
    moments, override = random.Random(f"{kind} {minutes}"), f"checkpoint_minutes={minutes}"
    for _ in range(4):
        with pytest.raises(Killed):
            fit(make_run(tmp_path, splits, kind, override, check_stop=After(moments.randint(1, 6), Killed())))
    folder, scores = undisturbed[kind]
    assert fit(make_run(tmp_path, splits, kind, override)) == scores
    assert_same_run(tmp_path, folder)


def test_a_checkpoint_within_an_epoch_is_resumed_from(splits, tmp_path):
    with pytest.raises(Killed):
        fit(make_run(tmp_path, splits, "lin on features", "checkpoint_minutes=1e-9", check_stop=After(2 + 6, Killed())))
    assert checkpoint(tmp_path)["step"] == 5
    run = make_run(tmp_path, splits, "lin on features", check_stop=After(1, Stopped()))
    with pytest.raises(Stopped):
        fit(run)
    assert checkpoint(tmp_path)["step"] == 6


WRITES = EPOCHS + 1 + 3  # last.pt at each validation, and best.pt at most as often


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("n", slow_but((1, 2, 4, WRITES), range(1, WRITES + 1)))
def test_killed_before_or_after_any_write_of_a_checkpoint(splits, tmp_path, undisturbed, monkeypatch, n, after):
    save, kill = loop.save_checkpoint, After(n, Killed())

    def save_and_be_killed(path, content):
        if after:
            save(path, content)
        kill()
        if not after:
            save(path, content)

    monkeypatch.setattr(loop, "save_checkpoint", save_and_be_killed)
    folder, scores = undisturbed["lin on features"]
    try:
        fit(make_run(tmp_path, splits))
    except Killed:
        monkeypatch.undo()
        assert fit(make_run(tmp_path, splits)) == scores
    assert_same_run(tmp_path, folder)


def poison(run, step, what, before=lambda: None):
    """Let a distance not be finite at one step of a run, or a gradient."""
    right, steps = run.model.distances, itertools.count()

    def distances(batch, dropout=None):
        d0, d1 = right(batch, dropout)
        if dropout is not None and next(steps) == step:
            before()
            if what == "gradient":
                d0.register_hook(lambda gradient: gradient * math.inf)
            else:
                d0 = d0 * (math.nan if what == "NaN" else math.inf)
        return d0, d1

    run.model.distances = distances


# The first step of all, one in the middle of the second epoch, its last.
NOT_FINITE = list(itertools.product((0, 9, 13), ("NaN", "infinity", "gradient"), ("5", "1e-9")))
FEW_NOT_FINITE = [(0, "NaN", "5"), (9, "infinity", "5"), (9, "gradient", "1e-9"), (13, "NaN", "1e-9")]


@pytest.mark.parametrize(("step", "what", "minutes"), slow_but(FEW_NOT_FINITE, NOT_FINITE))
def test_what_is_not_finite_stops_the_run_and_leaves_the_last_checkpoint(splits, tmp_path, what, minutes, step):
    good = {}  # the checkpoints at the last moment before the poison
    run = make_run(tmp_path, splits, "lin on features", f"checkpoint_minutes={minutes}")

    def note():
        good.update({name: (tmp_path / name).read_bytes() for name in ("last.pt", "best.pt")})

    poison(run, step, what, before=note)
    with pytest.raises(UserError, match=f"the loss or a gradient of step {step} is not finite: its triplets are in "):
        fit(run)
    assert {name: (tmp_path / name).read_bytes() for name in good} == good
    last = checkpoint(tmp_path)
    assert last["step"] == (step if minutes == "1e-9" else step // STEPS_PER_EPOCH * STEPS_PER_EPOCH)
    assert all(value.isfinite().all() for value in last["model"].values())
    named = json.loads((tmp_path / "not_finite.json").read_text())
    assert named["step"] == step
    expected = [run.train.locate(index) for index in run.numbers(step)]
    assert named["triplets"] == [{"split": split.name, "index": index} for split, index in expected]
    assert {entry["split"] for entry in named["triplets"]} <= {"2afc/train/cnn", "2afc/train/mix"}


def test_not_finite_and_asked_to_stop_at_once_saves_nothing_of_it(splits, tmp_path):
    run = make_run(tmp_path, splits, check_stop=After(2 + 2, Stopped()))
    poison(run, 1, "NaN")
    with pytest.raises(UserError, match="step 1 is not finite"):
        fit(run)
    assert checkpoint(tmp_path)["step"] == 0


def test_after_what_was_not_finite_the_run_continues_once_it_is_fixed(splits, tmp_path, undisturbed):
    run = make_run(tmp_path, splits)
    poison(run, 9, "NaN")
    with pytest.raises(UserError, match="step 9 is not finite"):
        fit(run)
    folder, scores = undisturbed["lin on features"]
    assert fit(make_run(tmp_path, splits)) == scores
    assert_same_run(tmp_path, folder)


def test_a_rate_that_is_absurd_is_an_error_and_no_nan_in_a_checkpoint(splits, tmp_path):
    with pytest.raises(UserError, match=r"try a lower trainer\.learning_rate"):
        fit(make_run(tmp_path, splits, "tune", "learning_rate=1e30"))
    assert checkpoint(tmp_path)["step"] == 0


def test_another_identity_is_refused(splits, tmp_path):
    fit(make_run(tmp_path, splits))
    run = make_run(tmp_path, splits)
    run.identity = {"data": "other"}
    with pytest.raises(UserError, match="data: was tiny, is other"):
        fit(run)


def test_negative_lin_weights_are_never_the_best(splits, tmp_path):
    # The released clamp begins with such, and no metric takes them.
    run = make_run(tmp_path, splits)
    with torch.no_grad():
        run.model.lin[::2] -= 1
    fit(run)
    assert checkpoint(tmp_path, "best.pt")["model"]["lin"].min() >= 0


def test_ranks_meet_once_in_a_step(splits, tmp_path, monkeypatch):
    meetings = []
    monkeypatch.setattr(Ranks, "any", lambda self, *flags: meetings.append(flags) or flags)
    with stop_on_signals() as check_stop:
        fit(make_run(tmp_path, splits, "lin on features", "checkpoint_minutes=1e-9", check_stop=check_stop))
    assert len(meetings) == CALLS + 1  # and one for a signal after the last step


@pytest.mark.parametrize("kind", ["lin on features", "tune"])
def test_triplets_that_are_kept_on_the_device_give_the_same_run(splits, tmp_path, undisturbed, kind):
    run = make_run(tmp_path, splits, kind)
    for triplets in (run.train, *run.val.values()):
        triplets.keep_on_device()
    folder, scores = undisturbed[kind]
    assert fit(run) == scores
    assert_same_run(tmp_path, folder)
