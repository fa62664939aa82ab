"""What settings share: each check raises UserError with the setting's name, its value and what is expected."""

import re
import tempfile
from pathlib import Path

from lpips_repro.errors import UserError

MOST_THREADS = 1024


def check_at_least(key: str, value: int, least: int) -> None:
    """Refuse a number below the least."""
    if value < least:
        raise UserError(f"{key}={value}: expected an integer of at least {least}")


def check_threads(threads: int | None) -> None:
    """Refuse a number of threads that no machine runs: of many thousands, the process would crash."""
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UserError(f"threads={threads}: expected an integer from 1 to {MOST_THREADS}")


def check_seed(seed: int, key: str = "seed") -> None:
    """Refuse what no generator of random numbers takes."""
    if not 0 <= seed < 2**32:
        raise UserError(f"{key}={seed}: expected an integer of at least 0 and below 2^32")


def check_name(key: str, name: str) -> None:
    """Refuse what is no plain name of a folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"{key}={name}: expected letters, digits, '-' and '_': it names folders")


def check_writable(key: str, folder: Path) -> None:
    """Make a folder, and refuse one that no file can be written into: before the work whose results belong there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{folder}: {error.strerror}: files are to be written there: make it writable, or set {key}=FOLDER"
        ) from error


def check_workers(workers: int | None, key: str = "data.workers") -> None:
    """Refuse a number of processes below 1."""
    if workers is not None:
        check_at_least(key, workers, 1)
