"""Sweeps with Hydra's launchers: every run that did not finish is named, and the same command resumes it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lpips_repro.devices import one_thread
from lpips_repro.training.run import train
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split
from tests.processes import PATIENCE, REPOSITORY, children, run_words
from tests.training.tiny import assert_same, checkpoint

JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
NOT_ALL = "error: not every run of the sweep finished: completed work is kept, and the same command resumes there"
NO_END = "did not end: its process was killed, or is still running"

# A script like those in scripts/, whose work takes no time.
SCRIPT = """
import os, signal, time
import hydra
from lpips_repro.entry_point import run
from lpips_repro.errors import UserError
from lpips_repro.parallel import process_pool

@hydra.main(version_base="1.3", config_path="{configs}", config_name="train")
def main(cfg):
    {body}

if __name__ == "__main__":
    run(main)
"""


@pytest.fixture
def sweep(tmp_path):
    """A function that runs a script with this body for the seeds 0 to 3, and returns the ended process."""

    def run(body: str, *overrides: str, path: str = "") -> subprocess.CompletedProcess:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT.format(configs=CONFIGS, body=body))
        words = [f"experiments={tmp_path}/experiments", "hydra/job_logging=sweep", "seed=0,1,2,3", *overrides]
        return subprocess.run(
            [sys.executable, script, "--multirun", *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)},
        )

    return run


def report(ended: subprocess.CompletedProcess) -> list[str]:
    """The error lines of a sweep, without the setting that all runs share."""
    text = re.sub(r"experiments=\S+ ", "", ended.stderr)
    return [line for line in text[text.index("error: ") :].splitlines() if line.startswith(("error:", "  #"))]


@pytest.mark.parametrize("launcher", [(), JOBLIB], ids=["basic", "joblib"])
def test_runs_that_fail_are_named_with_their_reasons_and_the_others_finish(sweep, tmp_path, launcher):
    body = f"""
    if cfg.seed == 1: raise UserError("no weights of vgg")
    if cfg.seed == 2: raise ZeroDivisionError("by zero")
    open(f"{tmp_path}/{{cfg.seed}}", "w")"""
    ended = sweep(body, *launcher)
    assert ended.returncode == 1
    assert report(ended) == [NOT_ALL, "  #1 seed=1: no weights of vgg", "  #2 seed=2: ZeroDivisionError: by zero"]
    assert (tmp_path / "0").exists() and (tmp_path / "3").exists()
    assert "ZeroDivisionError: by zero\n" in ended.stdout, "an error that is not the user's has a traceback"
    assert "Traceback" not in ended.stderr


def test_a_killed_worker_is_reported_without_a_traceback(sweep, tmp_path):
    body = f"""
    open(f"{tmp_path}/{{cfg.seed}}", "w")
    if cfg.seed == 2:
        while not all(os.path.exists(f"{tmp_path}/{{seed}}") for seed in (0, 1, 3)): time.sleep(0.05)
        time.sleep(0.5)  # in which runs 0 and 1, which do nothing else, are over
        os.kill(os.getpid(), signal.SIGKILL)
    if cfg.seed == 3: time.sleep(60)"""
    ended = sweep(body, *JOBLIB)
    assert ended.returncode == 1
    assert report(ended) == [NOT_ALL, f"  #2 seed=2: {NO_END}", f"  #3 seed=3: {NO_END}"]
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_killed_job_of_submitit_is_reported_without_a_traceback(sweep):
    ended = sweep("if cfg.seed == 2: os.kill(os.getpid(), signal.SIGKILL)", "hydra/launcher=submitit_local")
    assert ended.returncode == 1
    assert report(ended) == [NOT_ALL, f"  #2 seed=2: {NO_END}"]
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_worker_of_joblib_starts_processes_and_shares_the_cores(sweep):
    body = """
    with process_pool(1) as pool: pool.submit(abs, -1).result()
    print("threads", os.environ["OMP_NUM_THREADS"])"""
    ended = sweep(body, *JOBLIB, "hydra.launcher.n_jobs=2")
    assert ended.returncode == 0, ended.stderr
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // 2)))
    assert ended.stdout.count(f"threads {threads}\n") == 4


def test_a_slurm_job_has_the_launchers_settings_and_a_refusal_is_one_line(sweep, tmp_path):
    for name, does in {"srun": "", "sbatch": f"cp $1 {tmp_path}/submitted; echo no such partition >&2; exit 1"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    ended = sweep("pass", "hydra/launcher=slurm", "hydra.launcher.partition=gpu", path=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "error: no such partition"
    wanted = {"array=0-3%4", "partition=gpu", "gpus-per-node=1", "cpus-per-task=8", "time=1440", "signal=USR2@120"}
    assert wanted <= set(re.findall(r"^#SBATCH --(\S+)", (tmp_path / "submitted").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A dataset of noise in the BAPPS layout."""
    root = tmp_path_factory.mktemp("data")
    for seed, (phase, split) in enumerate([("train", "cnn"), ("val", "color")]):
        make_split(root, "2afc", phase, split, 20, seed)
    return root


def words(data: Path, home: Path, *more: str) -> list[str]:
    """The settings of a short run, with all folders below `home`."""
    return run_words(data, home, "variant=lin", "trainer.checkpoint_minutes=1e-9", *more)


def started_sweep(*arguments: str) -> subprocess.Popen:
    """Start a sweep of two parallel jobs with one thread each."""
    return subprocess.Popen(
        [sys.executable, "scripts/train.py", "--multirun", "hydra/job_logging=sweep", *JOBLIB, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def assert_same_as_runs_alone(data: Path, home: Path, alone: Path, seeds: tuple[int, ...], *more: str) -> None:
    with one_thread():
        for seed in seeds:
            train(settings("train", *words(data, alone, *more, f"seed={seed}")))
    runs = sorted(path.parent.name for path in alone.glob("experiments/*/weights.pth"))
    assert len(runs) == len(seeds)
    for run in runs:
        swept, single = (torch.load(of / "experiments" / run / "weights.pth") for of in (home, alone))
        assert_same(swept, single, run)


@pytest.mark.slow
def test_two_parallel_jobs_end_with_the_weights_of_single_runs(data, tmp_path):
    more = ("trainer.epochs=1", "trainer.decay_epochs=1")
    process = started_sweep(*words(data, tmp_path / "swept", *more), "seed=0,1")
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    for seed in (0, 1):  # each line begins with its run
        assert re.search(rf"^#{seed} alex_gaussian lin seed {seed}: epoch 2, ", output, re.MULTILINE), output
    assert_same_as_runs_alone(data, tmp_path / "swept", tmp_path / "alone", (0, 1), *more)


@pytest.mark.slow
def test_after_a_kill_the_same_command_ends_with_the_weights_of_single_runs(data, tmp_path):
    home, more = tmp_path / "swept", ("trainer.epochs=60", "trainer.decay_epochs=1")
    arguments = (*words(data, home, *more), "seed=0,1,2")
    process = started_sweep(*arguments)
    end = time.monotonic() + PATIENCE
    while not (lasts := sorted(home.glob("experiments/*-seed1-*/last.pt"))) or checkpoint(lasts[0].parent)["step"] < 20:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.01)
    os.kill(children(process.pid, "LokyProcess")[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert NOT_ALL in errors and errors.count(NO_END) == 2

    process = started_sweep(*arguments)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "#1 alex_gaussian lin seed 1: epoch 0" not in output, "it started over"
    assert_same_as_runs_alone(data, home, tmp_path / "alone", (0, 1, 2), *more)

    process = started_sweep(*arguments)
    output, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output.count("already finished")) == (0, 3)
