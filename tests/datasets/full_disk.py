"""A disk without room, for a process of its own and those it starts."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def run_on_full_disk(size: int, *arguments: str) -> str:
    """Run Python while no file can be longer than `size` bytes: the write beyond it is short, the next one fails.

    Returns:
        The last line of what it says on stderr before it ends with exit status 1, without a traceback.
    """
    code = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}));"
        " os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stderr.splitlines()[-1]
