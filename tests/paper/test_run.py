import csv
import json
import subprocess
import sys

import pytest

from lpips_repro.errors import Terminated
from lpips_repro.paper import run as paper
from lpips_repro.paper.steps import Step
from tests.compose import CONFIGS, settings

ROOT = CONFIGS.parent


def program(tmp_path, text):
    file = tmp_path / "step.py"
    file.write_text(text)
    return str(file)


class Own(Step):
    """A step that runs a program of the test."""

    @property
    def command(self):
        return [sys.executable, self.script]


def test_a_failed_step_is_recorded_with_its_reason_and_time(tmp_path, capsys):
    state = {}
    paper._run(Own("bad", program(tmp_path, "raise SystemExit('error: no disk')"), []), tmp_path, state)
    assert state["bad"]["state"] == "failed"
    assert state["bad"]["reason"] == "no disk"
    assert json.loads((tmp_path / "steps.json").read_text()) == state
    paper._run(Own("bad", program(tmp_path, "print('well')"), []), tmp_path, state)
    assert state["bad"]["state"] == "done" and "reason" not in state["bad"]


def test_a_signal_leaves_the_step_for_the_next_command(tmp_path, capsys):
    text = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit("the state is saved"))
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(20)
"""
    state = {}
    with pytest.raises(Terminated):
        paper._run(Own("train", program(tmp_path, text), []), tmp_path, state)
    assert state["train"]["state"] == "left"
    printed = capsys.readouterr()
    assert "the state is saved" in printed.out
    assert "SIGTERM: train saves its state" in printed.err and "the same command resumes" in printed.err


def test_earlier_failures_of_steps_that_are_done_or_not_requested_are_forgotten(tmp_path, monkeypatch):
    folder, done = tmp_path / "paper-mini", tmp_path / "summary.json"
    folder.mkdir()
    done.write_text("{}")
    earlier = {"state": "failed", "reason": "no disk", "seconds": 2.0}
    (folder / "steps.json").write_text(json.dumps({"train seed 0": earlier, "train seed 1": earlier}))
    steps = [Own("dataset", program(tmp_path, ""), []), Own("train seed 0", "", [], done=done)]
    monkeypatch.setattr(paper, "steps_of", lambda cfg, data: steps)
    monkeypatch.setattr(paper, "_without_weights", lambda steps: {})
    monkeypatch.setattr(paper, "_print_plan", lambda *arguments: None)
    written = []
    monkeypatch.setattr(paper, "_write_page", lambda cfg, folder, steps, state: written.append(state))
    paper.reproduce_paper(settings("paper", "experiment=paper_mini", f"experiments={tmp_path}"))
    assert written[0]["train seed 0"] == {"state": "done", "seconds": 2.0}


@pytest.mark.parametrize(
    "text", ["[1]", '{"tables": 3}', "{", "[" * 100_000, '{"tables": {"state": "done", "seconds": "2"}}']
)
def test_a_damaged_record_of_the_steps_is_ignored(tmp_path, text):
    (tmp_path / "steps.json").write_text(text)
    assert paper._read_state(tmp_path / "steps.json") == {}


@pytest.mark.slow
def test_all_steps_run_on_mini(tmp_path):
    command = [sys.executable, "scripts/paper.py", "experiment=paper_mini", f"experiments={tmp_path}"]
    command += [f"data.root={tmp_path / 'mini'}", "nets=[alex,vgg]", "variants=[lin,scratch]"]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr[-3000:]
    page = (tmp_path / "paper-mini/REPRODUCTION.md").read_text()
    assert "SIMULATED" in page and "not comparable: simulated" in page
    with (tmp_path / "paper-mini/reproduction.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    of_l2 = [line for line in lines if line["row"] == "l2" and line["column"] == "all" and line["ours"]]
    assert {line["label"] for line in of_l2} == {"l2-rgb", "l2-lab"}
    assert {line["verdict"] for line in lines} <= {"not comparable: simulated", "not run", "within 0.5"}
    assert (tmp_path / "paper-mini-report/figures/2afc.svg").is_file()
    assert ("(../paper-mini-report/index.html)" in page) == (tmp_path / "paper-mini-report/index.html").is_file()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0
    assert "finished: mean val" not in again.stdout + again.stderr  # nothing is trained again
