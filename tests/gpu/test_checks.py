"""The checks themselves, on the CPU: that they run, and find what they are made to find."""

import functools

import pytest
import torch

from lpips_repro.backbones import BACKBONES
from lpips_repro.gpu import parity, pretraining, ranks, resume, tests, training
from lpips_repro.gpu.runner import NotRun
from lpips_repro.gpu.waiting import no_waiting
from lpips_repro.metrics import METRICS
from lpips_repro.pretraining import loop as pretraining_loop
from lpips_repro.training.step import DropoutOfSteps
from lpips_repro.training.step_sums import StepSums

CPU = torch.device("cpu")


@pytest.fixture
def modes(monkeypatch):
    """The modes that `torch.cuda.set_sync_debug_mode` is given, which needs a GPU."""
    found = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", found.append)
    return found


def test_every_network_and_every_classic_metric_is_compared_with_the_cpu():
    names = {check.name for check in parity.checks()}
    assert names >= {*BACKBONES, *METRICS, "timm/test_vit"}


@pytest.mark.parametrize("name", ["squeeze", "ssim window=gaussian"])
def test_the_cpu_agrees_with_itself(name):
    (check,) = (check for check in parity.checks() if check.name == name)
    assert check.run(CPU) == "off by 0.0e+00 of the largest value"


def test_values_that_are_off_or_not_numbers_are_found():
    right = torch.tensor([1.0, 100.0])
    assert parity.agreement(right, right + 9e-4)
    for wrong in (right + 2e-3, right * float("nan")):
        with pytest.raises(AssertionError, match="at most 1e-05 is allowed"):
            parity.agreement(right, wrong)


def test_all_networks_variants_and_precisions_are_trained():
    names = [check.name for check in training.checks()]
    assert len(names) == len(set(names)) == 4 * (1 + 2 * 4)
    assert {"caffenet lin on features", "vgg tune tf32", "squeeze scratch bfloat16", "alex tune compiled"} <= set(names)


@pytest.mark.parametrize(
    ("net", "variant", "trainer"),
    [
        ("alex", "lin", {}),
        ("squeeze", "tune", {"precision": "bfloat16"}),
        pytest.param("caffenet", "scratch", {}, marks=pytest.mark.slow),
    ],
)
def test_training_steps_run_without_waiting(net, variant, trainer, modes):
    assert "parameters moved by" in training.steps(net, variant, CPU, **trainer)
    assert modes == ["error", "default", "default"]


def test_a_step_that_waits_is_found(modes, monkeypatch):
    add = StepSums.add

    def waits(self, *arguments):
        add(self, *arguments)
        if modes[-1:] == ["error"]:  # as the mode itself does
            raise RuntimeError("called a synchronizing CUDA operation")

    monkeypatch.setattr(StepSums, "add", waits)
    with pytest.raises(RuntimeError, match="synchronizing"):
        training.steps("alex", "lin", CPU)
    assert modes == ["error", "default"]


def test_a_loop_of_too_few_steps_is_no_proof(modes):
    with pytest.raises(AssertionError, match="0 steps were taken: expected at least 6"), no_waiting():
        pass


def test_a_network_that_learns_nothing_is_found(modes):
    with pytest.raises(AssertionError, match=r"moved by 0\.0 of their norm"):
        training.steps("alex", "lin", CPU, learning_rate=1e-30)


def test_if_nothing_can_be_compiled_the_compiled_steps_are_not_run(monkeypatch):
    monkeypatch.setattr(training, "why_not", lambda device: "no compiler: install g++")
    with pytest.raises(NotRun, match=r"no compiler: install g\+\+"):
        training.steps("alex", "tune", CPU, compile=True)


@pytest.mark.parametrize(
    "task", ["puzzle", *(pytest.param(task, marks=pytest.mark.slow) for task in ("splitbrain", "bigan"))]
)
def test_steps_of_pretext_tasks_run_without_waiting(task, modes, monkeypatch):
    monkeypatch.setattr(pretraining_loop, "SCORED", 8)
    assert "parameters moved by" in pretraining.steps(task, CPU)
    assert modes == ["error", "default", "default"]


@pytest.mark.slow
def test_on_a_cpu_a_resumed_run_is_the_same():
    assert resume.stopped_or_not(functools.partial(resume.train, "alex", "lin"), CPU).startswith("0.0e+00 of the")


@pytest.mark.slow
def test_a_pretext_task_resumes(monkeypatch):
    monkeypatch.setattr(pretraining_loop, "SCORED", 8)
    found = resume.stopped_or_not(functools.partial(resume.pretrain, "splitbrain"), CPU)
    assert found == "0.0e+00 of the distance learned apart; run twice: 0.0e+00"


def test_a_resumed_run_that_has_lost_something_is_found(monkeypatch):
    monkeypatch.setattr(torch.optim.Adam, "load_state_dict", lambda self, state: None)
    with pytest.raises(AssertionError, match="of the distance learned apart: at most 5e-02 is allowed"):
        resume.stopped_or_not(functools.partial(resume.train, "alex", "lin"), CPU)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alex lin on features", "bigan"])
def test_two_processes_train_as_one(name):
    (check,) = (check for check in ranks.checks() if check.name == name)
    assert "of the distance learned apart" in check.run(CPU)


@pytest.mark.slow
def test_processes_that_train_otherwise_are_found(monkeypatch):
    # One process with other draws than the two.
    of = DropoutOfSteps.of
    monkeypatch.setattr(DropoutOfSteps, "of", lambda self, step, *rest: of(self, step + 1, *rest))
    with pytest.raises(AssertionError, match="at most 5e-02 is allowed"):
        ranks.two_as_one(functools.partial(resume.train, "alex", "lin"), CPU)


def test_files_with_tests_that_need_a_gpu_are_found():
    names = {check.name for check in tests.checks()}
    assert {"training/test_step.py", "metrics/test_lpips.py"} <= names
    assert "test_config.py" not in names


@pytest.mark.slow
def test_what_pytest_says_of_a_file_is_reported(tmp_path):
    file = tmp_path / "test_one.py"

    def outcome(body):
        file.write_text(f"import pytest\n@pytest.mark.cuda\ndef test_one():\n    {body}\n")
        return tests.marked_cuda(file, CPU)

    assert outcome("pass").startswith("1 passed")
    with pytest.raises(AssertionError, match="exit status 1: 1 failed"):
        outcome("assert False")
    with pytest.raises(NotRun, match="1 skipped"):
        outcome("pytest.skip()")
    for module, error in {"surely_not_installed": NotRun, "lpips_repro.surely_not": AssertionError}.items():
        file.write_text(f"import {module}")
        with pytest.raises(error):
            tests.marked_cuda(file, CPU)
