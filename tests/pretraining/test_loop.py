import csv
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lpips_repro.devices import one_thread
from lpips_repro.errors import UserError
from lpips_repro.photographs.crops import Crops
from lpips_repro.pretraining import loop
from lpips_repro.pretraining.loop import Pretraining, fit, score
from lpips_repro.pretraining.run import make_task
from lpips_repro.pretraining.tasks.task import Score
from lpips_repro.runs.signals import Stopped
from tests.pretraining.learning import patches
from tests.pretraining.tiny import TINY, tiny_config


@pytest.fixture(autouse=True)
def few_scored(monkeypatch):
    monkeypatch.setattr(loop, "SCORED", 8)


def pretraining(folder, name="puzzle", stop_after=None, identity=None, cfg=None):
    """A run that is told to stop after so many of its steps."""
    cfg = cfg or tiny_config(name)
    folder.mkdir(exist_ok=True)
    left = [stop_after]

    def check_stop(flag=False):
        if left[0] is not None:
            left[0] -= 1
            if left[0] == 0:
                raise Stopped
        return flag

    crops = Crops(patches(11, cfg.task.size).numpy(), patches(6, cfg.task.size, "val").numpy(), "digest")
    task = make_task(cfg.task, cfg.seed).to(memory_format=torch.channels_last)
    return Pretraining(folder, identity or {"seed": 0}, task, crops, cfg, torch.device("cpu"), check_stop)


def rows(folder, name="metrics.csv"):
    with (folder / name).open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key != "images_per_second"} for row in csv.DictReader(file)
        ]


def equal(left, right):
    """Whether nested states are the same to the bit."""
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return left == right


@pytest.mark.parametrize("name", TINY)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(name, tmp_path):
    with one_thread():
        scores = fit(pretraining(tmp_path / "whole", name))
        for steps in (2, 1, 2):  # stopped after steps 2, 3 and 5
            with pytest.raises(Stopped):
                fit(pretraining(tmp_path / "parts", name, steps))
        again = fit(pretraining(tmp_path / "parts", name))
    assert again == scores
    states = [torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "parts")]
    assert all(state.pop("seconds") > 0 for state in states)
    assert equal(*states)
    for name in ("metrics.csv", "validation.csv"):
        assert rows(tmp_path / "whole", name) == rows(tmp_path / "parts", name)


def test_a_run_that_an_earlier_version_began_continues_to_the_same_weights(tmp_path):
    with one_thread():
        scores = fit(pretraining(tmp_path / "whole"))
        with pytest.raises(Stopped):
            fit(pretraining(tmp_path / "parts", stop_after=4))
        file = tmp_path / "parts/last.pt"
        content = torch.load(file, weights_only=True)
        content["optimiser"] = content.pop("optimizer")
        earlier = {"format", "identity", "step", "validated", "scores", "sums", "summed", "task", "optimiser"}
        torch.save({key: content[key] for key in earlier}, file)
        assert fit(pretraining(tmp_path / "parts")) == scores
    whole, parts = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "parts"))
    assert all(equal(whole[key], parts[key]) for key in ("task", "optimizer"))
    assert parts["seconds"] is None  # how long the first start took is not known


def test_the_time_of_all_starts_is_summed(tmp_path):
    with pytest.raises(Stopped):
        fit(pretraining(tmp_path / "run", stop_after=2))
    file = tmp_path / "run/last.pt"
    torch.save({**torch.load(file, weights_only=True), "seconds": 1000.0}, file)
    fit(pretraining(tmp_path / "run"))
    assert 1000 < torch.load(file, weights_only=True)["seconds"] < 1100


@pytest.mark.parametrize("name", TINY)
def test_bfloat16_keeps_weights_and_scores_in_float32_and_learns_nearly_the_same(name, tmp_path):
    losses, states = [], []
    for precision in ("float32", "bfloat16"):
        run = pretraining(tmp_path / precision, cfg=tiny_config(name, f"precision={precision}", "log_every=1"))
        fit(run)
        losses.append([float(row["loss"]) for row in rows(tmp_path / precision)])
        states.append(run.task.state_dict())
    assert losses[1][0] != losses[0][0]
    assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-2)  # later ones are apart as the weights are
    assert np.isfinite(losses[1]).all()
    assert {value.dtype for value in states[1].values()} == {value.dtype for value in states[0].values()}


@pytest.mark.slow
def test_a_compiled_backbone_learns_the_same(tmp_path):
    losses = []
    for compiled in ("false", "true"):
        run = pretraining(tmp_path / compiled, cfg=tiny_config("puzzle", f"compile={compiled}", "log_every=1"))
        fit(run)
        losses.append([float(row["loss"]) for row in rows(tmp_path / compiled)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_finished_run_is_not_continued(tmp_path):
    scores = fit(pretraining(tmp_path / "run"))
    run = pretraining(tmp_path / "run")
    run.task.loss = None
    assert fit(run) == scores


def test_it_is_written_what_was_learned_and_how_it_did(tmp_path):
    fit(pretraining(tmp_path / "run"))
    assert [row["step"] for row in rows(tmp_path / "run")] == ["2", "4", "6"]
    found = rows(tmp_path / "run", "validation.csv")
    assert [row["step"] for row in found] == ["0", "3", "6"]
    assert {row["held_out_accuracy_chance"] for row in found} == {"0.2"}
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [2, 4, 6]
    assert [event.step for event in events.Scalars("held_out/accuracy")] == [0, 3, 6]


def losses_of_lines(caplog):
    found = [re.match(r"step (\d)/6: (?:loss ([0-9.]+))?", message) for message in caplog.messages]
    return {int(line[1]): line[2] and float(line[2]) for line in found if line}


def test_the_line_of_a_validation_has_the_mean_loss_since_the_one_before(tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO")
    run, losses, learn = pretraining(tmp_path / "run"), [], loop.PretextStep.__call__

    def spy(*arguments):
        shown, norm = learn(*arguments)
        losses.append(shown["loss"].item())
        return shown, norm

    monkeypatch.setattr(loop.PretextStep, "__call__", spy)
    with one_thread():
        fit(run)  # validations at steps 3 and 6, log entries at 2, 4 and 6
    expected = {0: None, 3: np.mean(losses[:3]), 6: np.mean(losses[3:])}
    assert losses_of_lines(caplog) == {step: mean and pytest.approx(mean, abs=6e-5) for step, mean in expected.items()}
    monkeypatch.undo()

    whole = losses_of_lines(caplog)
    caplog.clear()
    with one_thread():
        with pytest.raises(Stopped):
            fit(pretraining(tmp_path / "parts", stop_after=5))
        fit(pretraining(tmp_path / "parts"))
    assert losses_of_lines(caplog) == whole


def test_a_cut_checkpoint_is_kept_and_the_run_begins_again(tmp_path, caplog):
    with one_thread():
        scores = fit(pretraining(tmp_path / "whole"))
        with pytest.raises(Stopped):
            fit(pretraining(tmp_path / "run", stop_after=4))
        file = tmp_path / "run/last.pt"
        cut = file.read_bytes()[:1000]
        file.write_bytes(cut)
        assert fit(pretraining(tmp_path / "run")) == scores
    assert file.with_name("last.pt.damaged").read_bytes() == cut
    assert "last.pt: not a readable checkpoint (" in caplog.text
    assert "no complete checkpoint is left: the run starts again" in caplog.text
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


def test_another_run_in_the_folder_is_refused(tmp_path):
    fit(pretraining(tmp_path / "run"))
    with pytest.raises(UserError, match="photographs: was absent, is other"):
        fit(pretraining(tmp_path / "run", identity={"seed": 0, "photographs": "other"}))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_ends_the_run_keeps_its_checkpoint_and_is_named(tmp_path, what):
    run = pretraining(tmp_path / "run")
    run.photographs = [Path(f"{number}.png") for number in range(11)]
    right, steps = run.task.loss, itertools.count()

    def loss(given, wanted):
        value, shown = right(given, wanted)
        if next(steps) == 3:
            if what == "gradient":
                value.register_hook(lambda gradient: gradient * float("inf"))
            else:
                value = value * float("nan")
        return value, shown

    run.task.loss = loss
    message = r"the loss or a gradient of step 3 is not finite: its crops are in .*try a lower task\.learning_rate"
    with pytest.raises(UserError, match=message):
        fit(run)
    named = json.loads((tmp_path / "run/not_finite.json").read_text())
    assert named["step"] == 3
    assert named["crops"] == [{"crop": n, "photograph": f"{n}.png"} for n in run.numbers(3)]
    saved = torch.load(tmp_path / "run/last.pt", weights_only=True)
    assert saved["step"] == 3
    assert all(value.isfinite().all() for value in saved["task"].values())


def test_every_pass_takes_every_crop_at_most_once_in_another_order(tmp_path):
    run = pretraining(tmp_path / "run")  # 11 crops, 4 a step: two steps a pass
    passes = [np.concatenate([run.numbers(step), run.numbers(step + 1)]) for step in (0, 2, 4)]
    assert all(len(set(taken)) == 8 for taken in passes)
    assert len({tuple(taken) for taken in passes}) == 3


def test_each_step_learns_from_its_own_crops_in_its_own_way(tmp_path):
    run = pretraining(tmp_path / "run")
    right, given = run.task.draw, []

    def draw(crops, generator):
        if run.task.training:
            given.append((crops.numpy().copy(), generator.initial_seed()))
        return right(crops, generator)

    run.task.draw = draw
    fit(run)
    assert len({seed for _, seed in given}) == len(given) == run.cfg.task.steps
    for step, (crops, _) in enumerate(given):
        assert np.array_equal(crops, run.crops.train[run.numbers(step)])


def test_the_learning_rate_falls_to_zero_in_the_second_half(tmp_path):
    run = pretraining(tmp_path / "run", cfg=tiny_config("puzzle", "task.steps=8", "task.learning_rate=0.1"))
    expected = [0.1 * min(1.0, 2 * (1 - step / 8)) for step in range(9)]  # to the bit
    assert [run.learning_rate(step) for step in range(9)] == expected
    assert expected == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.1, 0.075, 0.05, 0.025, 0])


def test_the_released_schedule_falls_pass_by_pass(tmp_path):
    settings = ("task.steps=8", "task.learning_rate=0.1", "schedule=released")  # two steps a pass
    run = pretraining(tmp_path / "run", cfg=tiny_config("puzzle", *settings))
    rates = [run.learning_rate(step) for step in range(8)]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])


def test_a_score_is_the_mean_over_full_batches_of_crops_in_evaluation(tmp_path):
    run = pretraining(tmp_path / "run")
    seen = []

    def score_batch(given, wanted):
        assert not run.task.training
        seen.append(len(given))
        return {"accuracy": Score(float(len(seen)), 0.5)}

    run.task.score = score_batch
    # 6 crops in batches of 4, twice through for 8 of them: one full batch each time.
    assert score(run, run.crops.held_out) == {"accuracy": Score(1.5, 0.5)}
    assert seen == [4, 4]
    assert run.task.training


def test_a_score_changes_nothing_and_is_the_same_again(tmp_path):
    run = pretraining(tmp_path / "run", "bigan")
    before = {key: value.clone() for key, value in run.task.state_dict().items()}
    assert score(run, run.crops.train) == score(run, run.crops.train)
    assert equal(before, run.task.state_dict())
