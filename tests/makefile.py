"""Run make without the variables of an outer `make test`, and get the words of the scripts that it would start."""

import json
import os
import shlex
import subprocess
import sys

from tests.compose import CONFIGS

ROOT = CONFIGS.parent
# Stands for the Python of .venv, which need not exist.
RUN = f"RUN={shlex.quote(sys.executable)} tests/last_words.py"
QUIET = ("--silent", "--old-file=.venv/.installed", RUN)


def environment(**more: str) -> dict[str, str]:
    """The environment variables that a program needs, and more."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **more}


def make(*words: str, **more: str) -> subprocess.CompletedProcess:
    """Run make, with more environment variables."""
    return subprocess.run(["make", *words], cwd=ROOT, env=environment(**more), capture_output=True, text=True)


def script(*words: str, **more: str) -> list[str]:
    """The words of the script that a target starts."""
    done = make(*words, *QUIET, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def script_of_line(line: str) -> list[str]:
    """The words of the script that a command starts, for the command as a user types it."""
    line = f"{line} {shlex.join(QUIET)}"
    return json.loads(subprocess.check_output(line, shell=True, cwd=ROOT, env=environment(), text=True))
