import csv
import json
import os
import signal
import subprocess
import sys

import pytest

from lpips_repro.errors import Terminated
from lpips_repro.paper import run as paper
from lpips_repro.paper.steps import Step
from lpips_repro.runs.signals import ended_by_sigterm
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


STEP = """
import os, pathlib, signal, sys, time
pathlib.Path({pid!r}).write_text(str(os.getpid()))
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
os.kill(os.getppid(), signal.{sent})
while len(stopped) < {wanted}:
    time.sleep(0.01)
time.sleep(0.2)
sys.exit(f"the state is saved after {{len(stopped)}} times SIGTERM")
"""


@pytest.mark.parametrize(
    ("sent", "wanted", "grace", "said"),
    [
        ("SIGTERM", 1, 20, "the state is saved after 1 times SIGTERM"),
        ("SIGTERM", 9, 0.5, "train: did not end within 0.5 seconds: killed"),
        ("SIGINT", 0, 20, "the state is saved after 0 times SIGTERM"),  # Ctrl-C is a signal to the step as well
    ],
)
def test_a_step_ends_by_one_signal_and_is_killed_if_it_does_not(
    tmp_path, monkeypatch, capsys, sent, wanted, grace, said
):
    monkeypatch.setattr(paper, "GRACE", grace)
    text = STEP.format(pid=str(tmp_path / "pid"), sent=sent, wanted=wanted)
    state, before = {}, signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises((Terminated, KeyboardInterrupt)), ended_by_sigterm():
            paper._run(Own("train", program(tmp_path, text), []), tmp_path, state)
    finally:
        signal.signal(signal.SIGINT, before)
    assert state["train"]["state"] == "left"
    assert said in capsys.readouterr().out
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


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
