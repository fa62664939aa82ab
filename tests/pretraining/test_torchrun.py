"""Pretraining by several processes under torchrun is the pretraining of one."""

import contextlib
import csv
import json
import os
import re
import sys

import pytest
import torch

from lpips_repro.devices import one_thread
from lpips_repro.distributed import Ranks, started_ranks
from lpips_repro.errors import UserError
from lpips_repro.photographs import crops as crops_module
from lpips_repro.photographs.crops import Crops
from lpips_repro.pretraining import loop
from lpips_repro.pretraining import run as run_module
from lpips_repro.pretraining.loop import Pretraining, fit, score
from lpips_repro.pretraining.run import make_task, pretrain
from lpips_repro.runs.signals import Stopped
from tests.photographs.written import write_photographs
from tests.pretraining.learning import patches
from tests.pretraining.tiny import TINY, tiny_config, tiny_settings
from tests.processes import as_ranks, call, torchrun

CPU = torch.device("cpu")
# SGD, since Adam divides a gradient by its size: if it is nearly zero, rounding decides.
SGD = ("optimizer=sgd", "task.learning_rate=1e-3", "checkpoint_minutes=1e9")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(loop, "SCORED", 8)
    monkeypatch.setitem(crops_module.LEAST_CROPS, "train", 12)
    monkeypatch.setitem(crops_module.LEAST_CROPS, "held_out", 6)


def learn(folder, name, batch, stop_at=None):
    """Six steps of a task in float64, as a rank or alone. The first rank writes result.pt."""
    cfg = tiny_config(name, *SGD, f"task.batch_size={batch}")
    calls = []

    def check_stop(flag=False):
        calls.append(flag)
        if len(calls) == stop_at:
            raise Stopped
        return flag

    with started_ranks() as ranks:
        task = make_task(cfg.task, 0).double()
        if name == "splitbrain":
            task.chroma = task.chroma.float()  # as the pictures that it is compared with
        draw = task.draw
        task.draw = lambda *given: tuple(part.double() if part.is_floating_point() else part for part in draw(*given))
        crops = Crops(patches(13, cfg.task.size).numpy(), patches(6, cfg.task.size, "val").numpy(), "digest")
        run = Pretraining(folder, {}, task, crops, cfg, CPU, check_stop, ranks=ranks)
        try:
            result = {"scores": fit(run), "train": score(run, crops.train), "task": task.state_dict()}
        except Stopped:
            return
        if ranks.first:
            torch.save(result, folder / "result.pt")


def assert_same(expected, found):
    """Two results agree up to the order of sums in float64."""
    for key, value in expected["task"].items():
        torch.testing.assert_close(found["task"][key], value, rtol=1e-9, atol=1e-9, msg=key)
    for part in ("scores", "train"):
        assert found[part].keys() == expected[part].keys()
        for key, pair in expected[part].items():
            assert found[part][key] == pytest.approx(pair, abs=1e-9)


def numbers(folder, file):
    """The rows of a table of a run, without rates."""
    with (folder / file).open(newline="") as lines:
        return [
            {key: float(value) for key, value in row.items() if "per_second" not in key}
            for row in csv.DictReader(lines)
        ]


@pytest.fixture
def alone(tmp_path):
    """The result of a run of one process, and its folder, by task and batch size."""

    def learn_alone(name, batch):
        folder = tmp_path / "one"
        folder.mkdir()
        with one_thread(), torch.random.fork_rng(devices=[]):
            learn(folder, name, batch)
        return torch.load(folder / "result.pt", weights_only=False), folder

    return learn_alone


# Shares of 2 and 3 examples, and of one each. The tasks have batch normalization of tiles, places, maps and vectors.
@pytest.mark.parametrize(
    ("processes", "name", "batch"), [(2, "puzzle", 5), (2, "splitbrain", 5), (2, "bigan", 5), (3, "splitbrain", 3)]
)
def test_several_processes_learn_as_one(tmp_path, alone, processes, name, batch):
    expected, one = alone(name, batch)
    several = tmp_path / "several"
    several.mkdir()
    as_ranks(processes, tmp_path / "output", learn, several, name, batch)
    assert_same(expected, torch.load(several / "result.pt", weights_only=False))
    for file in ("metrics.csv", "validation.csv"):
        for row, other in zip(numbers(one, file), numbers(several, file), strict=True):
            assert other == pytest.approx(row, abs=1e-6)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_can_go_on_with_another_number_of_processes(tmp_path, alone, before, after):
    expected, one = alone("puzzle", 5)
    folder = tmp_path / "several"
    folder.mkdir()
    for number, processes in enumerate((before, after)):
        stop = 5 if number == 0 else None  # in the middle of an entry of the log, and of a period of validation
        as_ranks(processes, tmp_path / "output", learn, folder, "puzzle", 5, stop)
        assert (folder / "result.pt").exists() == (stop is None)
    assert_same(expected, torch.load(folder / "result.pt", weights_only=False))
    for file in ("metrics.csv", "validation.csv"):
        for row, other in zip(numbers(one, file), numbers(folder, file), strict=True):
            assert other == pytest.approx(row, abs=1e-6)


def words(folder, *overrides):
    """Settings of a tiny run with all files below a folder, except photographs, which runs have in common."""
    photographs = folder.parent / "photographs"
    if not photographs.is_dir():
        write_photographs(photographs, 11)
    places = (f"images={photographs}", f"store={folder}/store", f"experiments={folder}/experiments")
    return (*places, "optimizer=sgd", "task.learning_rate=1e-3", *overrides)


def exported(folder, task="puzzle"):
    return torch.load(folder / f"experiments/weights/alex-{task}.pth", weights_only=True)


def names(folder):
    """Names of all files of the experiments; those of TensorBoard without process and time."""
    return sorted(re.sub(r"tfevents.*", "", path.name) for path in (folder / "experiments").rglob("*"))


def task_of_rank(cfg, seed):
    """A task that begins with other weights in each process, as one with generators of its own."""
    task = make_task(cfg, seed)
    with torch.no_grad():
        task.answer[0].weight.add_(int(os.environ.get("RANK", "0")))
    return task


def test_the_exported_network_and_the_files_are_those_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "make_task", task_of_rank)
    one, several = tmp_path / "one", tmp_path / "several"
    with one_thread():
        pretrain(tiny_settings("puzzle", *words(one)))
    as_ranks(2, tmp_path / "output", pretrain, tiny_settings("puzzle", *words(several)))
    for key, value in exported(one).items():
        torch.testing.assert_close(exported(several)[key], value, rtol=1e-4, atol=1e-6, msg=key)
    assert names(one) == names(several)


def test_each_process_needs_an_example(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "started_ranks", lambda: contextlib.nullcontext(Ranks(0, 3)))
    with pytest.raises(UserError, match=r"^task.batch_size=2: torchrun started 3 processes, and each needs an example"):
        pretrain(tiny_settings("puzzle", *words(tmp_path / "run", "task.batch_size=2")))
    assert not (tmp_path / "run").exists()


FEW = ("task.batch_size=64", "task.steps=6", "validate_every=3", "log_every=2", "device=cpu", "workers=1")


@pytest.mark.slow
@pytest.mark.parametrize("task", TINY)
def test_torchrun_ends_with_the_weights_of_one_process_and_reports_once(tmp_path, task):
    few = (f"task={task}", *TINY[task], *FEW)
    one, several = tmp_path / "one", tmp_path / "several"
    call(sys.executable, "scripts/pretrain.py", *few, *words(one))
    command = torchrun(2, "scripts/pretrain.py", *few, *words(several))
    output = call(*command)
    assert output.count("finished: ") == 1
    for key, value in exported(one, task).items():
        torch.testing.assert_close(exported(several, task)[key], value, rtol=1e-4, atol=1e-6, msg=key)
    assert call(*command).count("finished: ") == 1  # nothing is left to learn


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "tolerance"), [("compile=true", 1e-4), ("precision=bfloat16", 0.02)])
def test_the_losses_of_compiled_and_bfloat16_steps_are_those_of_one(tmp_path, setting, tolerance):
    few = ("task=bigan", *TINY["bigan"], *FEW, setting)  # its backbone has batch normalization
    one, several = tmp_path / "one", tmp_path / "several"
    call(sys.executable, "scripts/pretrain.py", *few, *words(one))
    call(*torchrun(2, "scripts/pretrain.py", *few, *words(several)))
    (first,), (second,) = ([*folder.glob("experiments/pretrain-*/metrics.csv")] for folder in (one, several))
    for row, other in zip(numbers(first.parent, first.name), numbers(second.parent, second.name), strict=True):
        assert other["loss"] == pytest.approx(row["loss"], rel=tolerance)


@pytest.mark.slow
def test_a_bad_step_is_reported_once(tmp_path):
    words_of_run = words(tmp_path / "run", "task.learning_rate=1e30")
    command = torchrun(2, "scripts/pretrain.py", "task=puzzle", *TINY["puzzle"], *FEW, *words_of_run)
    output = call(*command, status=1)
    assert len(re.findall(r"^error: .*not finite", output, re.MULTILINE)) == 1, output
    (file,) = tmp_path.glob("run/experiments/*/not_finite.json")
    assert len(json.loads(file.read_text())["crops"]) == 64
