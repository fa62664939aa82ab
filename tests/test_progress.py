import io
import logging
import re
from pathlib import Path

import pytest

from lpips_repro import progress
from lpips_repro.progress import Progress


@pytest.fixture
def clock(monkeypatch, caplog):
    """A clock that only a test moves: `clock[0] += seconds`."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO)
    return now


def test_without_a_terminal_there_is_at_most_one_line_per_thirty_seconds(clock, caplog):
    with Progress(total=400, initial=100, desc="packing", unit="image") as bar:
        for _ in range(10):
            clock[0] += 10
            bar.update(10)
    assert caplog.messages == [
        "packing: 32 %, 130 of 400 images, 00:30 elapsed, 04:30 left",
        "packing: 40 %, 160 of 400 images, 01:00 elapsed, 04:00 left",
        "packing: 48 %, 190 of 400 images, 01:30 elapsed, 03:30 left",
    ]


def test_short_work_logs_nothing(clock, caplog):
    with Progress(total=2, desc="packing") as bar:
        clock[0] += 29
        bar.update(2)
    assert caplog.messages == []


def test_bytes_without_a_total_are_abbreviated(clock, caplog):
    with Progress(desc="bapps", unit="B", unit_scale=True) as bar:
        clock[0] += 31
        bar.update(1_230_000)
    assert caplog.messages == ["bapps: 1.23M B, 00:31 elapsed"]


def test_more_than_the_total_is_reported_without_it(clock, caplog):
    with Progress(total=5, desc="packing") as bar:
        clock[0] += 31
        bar.update(6)
    assert caplog.messages == ["packing: 6 steps, 00:31 elapsed"]


def test_the_postfix_is_in_the_line(clock, caplog):
    with Progress(total=8, desc="run", unit="triplet") as bar:
        bar.set_postfix_str("loss 0.5")
        clock[0] += 60
        bar.update(4)
    assert caplog.messages == ["run: 50 %, 4 of 8 triplets, 01:00 elapsed, 01:00 left, loss 0.5"]


def test_items_are_counted_as_they_are_taken(clock, caplog):
    for _ in Progress(["a", "b"], "networks", unit="network"):
        clock[0] += 40
    assert caplog.messages == [
        "networks: 50 %, 1 of 2 networks, 00:40 elapsed, 00:40 left",
        "networks: 100 %, 2 of 2 networks, 01:20 elapsed, 00:00 left",
    ]


def test_a_disabled_bar_logs_nothing(clock, caplog):
    with Progress(total=2, desc="packing", disable=True) as bar:
        clock[0] += 100
        bar.update(1)
    assert list(Progress("ab", disable=True)) == ["a", "b"]
    assert caplog.messages == []


def test_on_a_terminal_there_is_a_bar_and_no_line(clock, caplog):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = Terminal()
    with Progress(total=2, desc="packing", file=shown, mininterval=0, ncols=60) as bar:
        clock[0] += 100
        bar.update(1)
    assert "packing:  50%|" in shown.getvalue()
    assert caplog.messages == []


def test_every_bar_of_the_package_is_one_that_logs_lines_without_a_terminal():
    package = Path(progress.__file__).parent
    others = [file for file in package.rglob("*.py") if re.search(r"^\s*(import|from) tqdm", file.read_text(), re.M)]
    assert others == [package / "progress.py"]
