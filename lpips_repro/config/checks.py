"""Checks of settings. Each raises UserError with the setting's name, its value and what is expected."""

import re
import tempfile
from pathlib import Path

from lpips_repro.errors import UserError

MOST_THREADS = 1024
MOST_RESAMPLES = 1_000_000


def check_at_least(key: str, value: int, least: int) -> None:
    """Raise UserError if a number is below the least."""
    if value < least:
        raise UserError(f"{key}={value}: expected an integer of at least {least}")


def check_threads(threads: int | None) -> None:
    """Raise UserError for a number of threads that no machine runs. Many thousands would crash the process."""
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UserError(f"threads={threads}: expected an integer from 1 to {MOST_THREADS}")


def check_bootstrap(bootstrap: int) -> None:
    """Raise UserError for a number of resamples that would run for days, or have no interval."""
    if not 1 <= bootstrap <= MOST_RESAMPLES:
        raise UserError(f"bootstrap={bootstrap}: expected an integer from 1 to {MOST_RESAMPLES}")


def check_seed(seed: int, key: str = "seed") -> None:
    """Raise UserError for a seed that not every generator of random numbers accepts."""
    if not 0 <= seed < 2**32:
        raise UserError(f"{key}={seed}: expected an integer of at least 0 and below 2^32")


def check_name(key: str, name: str) -> None:
    """Raise UserError if a name is not a plain name of a folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"{key}={name}: expected letters, digits, '-' and '_': it names folders")


def check_writable(key: str, folder: Path) -> None:
    """Make a folder; raise UserError if no file can be written into it. It is called before long work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{folder}: {error.strerror}: results are written there: make it writable, or set {key}=FOLDER"
        ) from error


def check_workers(workers: int | None, key: str = "data.workers") -> None:
    """Raise UserError for a number of processes that no machine runs."""
    if workers is not None and not 1 <= workers <= MOST_THREADS:
        raise UserError(f"{key}={workers}: expected an integer from 1 to {MOST_THREADS}")
