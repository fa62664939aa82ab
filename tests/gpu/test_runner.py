"""What becomes of checks is told, whatever they do: by lines, a summary, a CSV and the exit status."""

import csv
import importlib
import subprocess
import sys

import pytest
import torch

from lpips_repro.devices import why_no_cuda
from lpips_repro.errors import UserError
from lpips_repro.gpu import run
from lpips_repro.gpu.runner import Check, NotRun, results_of
from lpips_repro.versions import ROOT

CPU = torch.device("cpu")


def fine(device):
    print("what it prints is not shown")
    return f"on {device}"


def wrong(device):
    print("it printed this")
    raise AssertionError("off by 2\nand more")


def not_here(device):
    raise NotRun("no compiler")


def needs(package):
    def check(device):
        importlib.import_module(package)

    return check


@pytest.fixture
def checked(tmp_path, monkeypatch, capsys):
    """Runs groups of checks on the CPU: the exit status, the rows of the CSV, and what was printed."""

    def check(groups, *chosen):
        monkeypatch.setattr(run, "GROUPS", tuple(groups))
        monkeypatch.setattr(run, "find_gpu", lambda: CPU)
        listed = {name: [Check(name, label, function) for label, function in g.items()] for name, g in groups.items()}
        monkeypatch.setattr(run, "_list_of", lambda name: lambda: listed[name])
        status = run.gpu_check(chosen, tmp_path)
        (path,) = tmp_path.glob("*.csv")
        with path.open(newline="") as file:
            return status, list(csv.DictReader(file)), capsys.readouterr().out, path.name

    return check


def test_a_failure_is_reported_and_the_other_checks_run(checked):
    status, rows, out, _ = checked({"first": {"a": wrong, "b": fine}, "second": {"c": not_here}})
    assert status == 1
    assert [(row["name"], row["status"], row["detail"]) for row in rows] == [
        ("a", "FAILED", "AssertionError: off by 2"),
        ("b", "ok", "on cpu"),
        ("c", "not run", "no compiler"),
    ]
    assert "it printed this" in out and 'raise AssertionError("off by 2' in out  # and the traceback
    assert "what it prints is not shown" not in out
    table = out[out.index("seconds\n") :]
    assert [line.split()[:4] for line in table.splitlines()[1:3]] == [
        ["first", "1", "1", "0"],
        ["second", "0", "0", "1"],
    ]
    assert "FAILED: first a: AssertionError: off by 2" in table and "not run: second c: no compiler" in table


def test_without_a_failure_the_exit_status_is_zero_and_rows_have_card_and_versions(checked):
    status, rows, _, name = checked({"first": {"b": fine}, "second": {"c": not_here}})
    assert (status, name) == (0, "gpu-check-cpu.csv")
    assert rows[0]["torch"] == torch.__version__
    assert all(rows[0][key] for key in ("card", "driver", "cuda", "python", "code", "date", "seconds"))


def test_chosen_groups_alone_run_and_go_to_another_file(checked):
    _, rows, _, name = checked({"first": {"a": wrong}, "second": {"b": fine}}, "second")
    assert [row["group"] for row in rows] == ["second"]
    assert name == "gpu-check-cpu-part.csv"


def test_what_is_not_installed_is_not_run_but_what_is_missing_here_has_failed(checked):
    _, rows, _, _ = checked({"first": {"a": needs("surely_not_installed.part"), "b": needs("lpips_repro.surely_not")}})
    assert (rows[0]["status"], rows[0]["detail"]) == ("not run", "surely_not_installed is not installed")
    assert rows[1]["status"] == "FAILED"


def test_a_group_that_cannot_be_listed_is_one_result():
    def missing():
        raise ModuleNotFoundError("No module named 'omegaconf.errors'", name="omegaconf.errors")

    groups = {"first": missing, "second": lambda: [Check("second", "b", fine)]}
    found = [(result.group, result.status, result.detail) for result in results_of(groups, CPU)]
    assert found == [("first", "not run", "omegaconf is not installed"), ("second", "ok", "on cpu")]


def test_a_killed_run_leaves_what_it_found(checked, tmp_path):
    def killed(device):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checked({"first": {"a": fine, "b": killed}})
    (path,) = tmp_path.glob("*.csv")
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so_in_one_line():
    command = [sys.executable, "scripts/gpu_check.py"]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {why_no_cuda()}: use a machine with an NVIDIA GPU")
    assert done.stderr.count("\n") == 1


def test_an_unknown_group_is_refused():
    with pytest.raises(UserError, match=r"^group='parities': expected one of parity, "):
        run.gpu_check(["parities"])


def test_no_group_needs_hydra_to_be_listed_but_those_that_train():
    """The list of networks and metrics comes without the packages that only settings need."""
    block = "import sys; sys.modules.update(dict.fromkeys(('hydra', 'omegaconf', 'timm', 'lpips'))); "
    code = block + "from lpips_repro.gpu import parity, run, tests; print(len(parity.checks()), len(tests.checks()))"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    networks, files = map(int, done.stdout.split())
    assert networks > 20 and files > 5
