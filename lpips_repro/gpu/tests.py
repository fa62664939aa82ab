"""Checks that run the tests that need a CUDA device, file by file."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import torch

from lpips_repro.gpu.runner import Check, NotRun
from lpips_repro.versions import ROOT

PATIENCE = 300  # seconds
OURS = ("lpips_repro", "tests")
FAILED_TO_COLLECT = 2  # pytest's exit status


def checks() -> list[Check]:
    """One check per file with tests that are marked `cuda`."""
    folder = ROOT / "tests"
    files = sorted(file for file in folder.rglob("test_*.py") if "pytest.mark.cuda" in file.read_text())
    return [Check("tests", str(file.relative_to(folder)), functools.partial(marked_cuda, file)) for file in files]


def marked_cuda(file: Path, device: torch.device) -> str:
    """Run the marked tests of a file in a new process; return the last line of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda and not slow", "-p", "no:cacheprovider", str(file)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    print(done.stdout)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    missing = re.search(r"No module named '?(\w+)", done.stdout)
    collected = done.returncode != FAILED_TO_COLLECT and not last.endswith("No module named pytest")
    if missing and not collected and missing[1] not in OURS:
        raise NotRun(f"{missing[1]} is not installed")
    if done.returncode:
        raise AssertionError(f"exit status {done.returncode}: {last}")
    if " passed" not in last:
        raise NotRun(last)
    return last
