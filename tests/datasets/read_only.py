"""Folders that cannot be written to, for a process of its own: not even by root."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE): after the next exec, permissions hold for root too.
DROP = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0);"
    " os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def run_read_only(*arguments: str, folders: list[Path]) -> subprocess.CompletedProcess:
    """Run Python while nothing can be written below some folders; gives the ended process."""
    inside = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    modes = {path: path.stat().st_mode for path in inside}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        return subprocess.run(
            [sys.executable, "-c", DROP, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
        )
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
