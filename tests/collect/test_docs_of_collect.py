"""Every command of docs/collect.md runs, in its order."""

import re
import subprocess
import sys

import pytest

from tests.building.conftest import write_photographs
from tests.collect.http_workers import serving
from tests.makefile import ROOT, script_of_line
from tests.processes import NETWORK

# What makes a command quick: few examples, and no network whose weights must be there.
SMALL = {
    "build_dataset.py": ("train=8", "val=6", "jnd=4", "workers=1"),
    "train.py": ("net=alex_gaussian", "trainer.epochs=1", "trainer.decay_epochs=0", "trainer.batch_size=4"),
    "evaluate.py": (
        "net=[alex_gaussian]",
        "metric=[l2_rgb]",
        "variant=[off_the_shelf]",
        "bootstrap=10",
        "download=false",
    ),
}
COMMANDS = re.findall(r"^make .*", (ROOT / "docs/collect.md").read_text(), re.MULTILINE)


def words_of(line: str) -> list[str]:
    script, *words = script_of_line(line)
    return [str(ROOT / script), *words, *SMALL.get(script.removeprefix("scripts/"), ())]


@pytest.mark.slow
def test_the_commands_lead_from_photographs_to_a_table(tmp_path):
    write_photographs(tmp_path / "photographs")
    for line in COMMANDS:
        words = words_of(line)
        if line == "make collect DATASET=data/mine":
            places = [f"dataset={tmp_path}/data/mine", f"store={tmp_path}/data/collect", "port=0"]
            with serving(places, tmp_path / "log"):
                continue
        if "do=export" in words and "name=rehearsal" not in words:
            words += ["name=rehearsal"]  # nobody has judged in the other one
        environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", **NETWORK}
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stdout + done.stderr)
    table = (tmp_path / "experiments/tables-folder/twoafc.csv").read_text()
    assert "l2-rgb" in table and "simulated" in table


def test_the_words_of_the_commands_are_settings():
    for line in COMMANDS:
        assert words_of(line), line
    assert len(COMMANDS) == 8
