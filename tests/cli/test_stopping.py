"""Ctrl-C and SIGTERM keep the finished results."""

import json
import signal

import pytest

from lpips_repro.cli.printing import write_output
from lpips_repro.cli.score import Scorer
from tests.cli.conftest import NET

L2 = ("-m", "l2-rgb")


def interrupted_after(calls, monkeypatch, number=signal.SIGINT):
    """Send this process a signal after some batches."""
    done = []

    def started(self, group, progress):
        if len(done) == calls:
            signal.raise_signal(number)
        done.append(group)
        start(self, group, progress)

    start = Scorer._start
    monkeypatch.setattr(Scorer, "_start", started)


@pytest.mark.parametrize(("name", "status", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_complete_results_are_written_after_a_signal(command, folders, tmp_path, monkeypatch, name, status, word):
    before = signal.getsignal(signal.SIGTERM)
    interrupted_after(2, monkeypatch, getattr(signal, name))

    def write_interrupted(path, text):
        signal.raise_signal(getattr(signal, name))  # Ctrl-C twice
        write_output(path, text)

    monkeypatch.setattr("lpips_repro.cli.session.write_output", write_interrupted)
    ended = command("dirs", *folders, *L2, "--batch-size", "3", "-q", "-o", tmp_path / "out.json")
    assert (ended.status, ended.err) == (status, f"6 of 10 pairs are done\n{word}\n")
    assert signal.getsignal(signal.SIGTERM) == before
    found = json.loads((tmp_path / "out.json").read_text())
    assert (len(found["results"]), found["failed"], found["complete"]) == (6, [], False)


def test_an_interrupted_matrix_keeps_its_complete_results(command, folders, monkeypatch):
    interrupted_after(0, monkeypatch)
    ended = command("matrix", folders[0], "-m", NET, *L2, "-q", "--format", "json")
    found = json.loads(ended.out)
    assert ended.status == 130 and not found["complete"]
    assert len(found["results"]) == 100 and {one["metric"].partition("-off")[0] for one in found["results"]} == {NET}


def test_an_interruption_before_the_first_result_is_one_line(command, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lpips_repro.cli.session.find_methods", interrupt)
    ended = command("distance", "a.png", "b.png", "-q")
    assert (ended.status, ended.out, ended.err) == (130, "", "interrupted\n")
