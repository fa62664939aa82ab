"""This tree is compared with itself, and with a changed copy of it instead of another commit."""

import shutil

import pytest
import torch

from lpips_repro.benchmark.against_commit import THIS, _groups, write_inputs
from lpips_repro.benchmark.commit_checkout import ROOT
from lpips_repro.benchmark.commit_processes import measure, processes
from lpips_repro.benchmark.commit_worker import TASKS
from lpips_repro.benchmark.rates_of_commits import Change, Sample, change_of
from lpips_repro.devices import one_thread
from lpips_repro.errors import UserError
from tests.benchmark.small import small_config

CPU = torch.device("cpu")


def compared(folder, other, tasks=tuple(TASKS), compiled="false") -> list[Change]:
    """The rows of one round with this tree and another one."""
    cfg = small_config(folder, "net=[alex]", "against=other", f"compile={compiled}")
    inputs = folder / "inputs"
    inputs.mkdir()
    write_inputs(inputs, "alex", cfg)
    samples = [Sample(case) for group in _groups(cfg) for case in group if case.task in tasks]
    with processes({THIS: ROOT, "other": other}, inputs, CPU) as pair:
        for sample in samples:
            measure(sample, pair, range(1), 0)
    return [change_of(sample) for sample in samples]


@pytest.fixture(autouse=True)
def few_threads():
    """One thread is faster if other tests use the other cores."""
    with one_thread():
        yield


@pytest.fixture
def other(tmp_path):
    """A copy of this tree."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("lpips_repro", "configs"):
        shutil.copytree(ROOT / name, tmp_path / "other" / name, ignore=ignore)
    return tmp_path / "other"


@pytest.mark.slow
@pytest.mark.parametrize("compiled", ["false", "true"])
def test_every_task_runs_and_a_tree_has_its_own_values(tmp_path, compiled):
    found = compared(tmp_path, ROOT, compiled=compiled)
    assert {change.task for change in found} == set(TASKS)
    assert ("compiled" in {change.mode for change in found}) == (compiled == "true")
    assert {change.note for change in found} == {""}
    assert all(change.rate_now > 0 and change.rate_then > 0 for change in found)


def test_each_process_runs_its_own_tree_and_names_a_missing_module(tmp_path, other):
    psnr = other / "lpips_repro" / "metrics" / "psnr.py"
    psnr.write_text(psnr.read_text() + "\n\nprint('not an answer')\npsnr = lambda x, y: 2 * l2(x, y)\n")
    psnr.write_text("from lpips_repro.metrics.l2 import l2\n" + psnr.read_text())
    shutil.rmtree(other / "lpips_repro" / "training")
    l2, psnr, forward, lin = compared(tmp_path, other, ("l2", "psnr", "LPIPS.forward", "lin step"))
    assert (l2.difference, l2.note, forward.note) == (0, "", "")
    assert psnr.note.startswith("values differ by ") and psnr.ratio > 0
    assert lin.note == "not run: other: ModuleNotFoundError: No module named 'lpips_repro.training'"
    assert (lin.rate_now, lin.verdict) == (None, "not run")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ImportError('too old')", "^against: other: ImportError: too old: .*: choose a newer commit$"),
        ("import os, sys; print('cause', file=sys.stderr, flush=True); os._exit(3)", "exit status 3: cause$"),
    ],
)
def test_a_tree_that_cannot_be_run_is_one_clear_error(tmp_path, code, message):
    package = tmp_path / "other" / "lpips_repro"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    with pytest.raises(UserError, match=message), processes({"other": package.parent}, tmp_path, CPU):
        pass


def test_the_processes_end_with_the_block(tmp_path):
    with pytest.raises(KeyboardInterrupt), processes({THIS: ROOT}, tmp_path, CPU) as (process,):
        raise KeyboardInterrupt
    assert process.process.poll() is not None
