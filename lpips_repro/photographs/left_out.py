"""Photographs that cannot be used: they are left out, counted and named, and the others are used."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

NAMED = 5  # the most photographs that a message names
Made = TypeVar("Made")


def reason(path: Path, error: Exception) -> str:
    """The reason why a photograph cannot be used: the message of its error, without path and remedy."""
    return str(error).removeprefix(f"{path}: ").partition(": ")[0]


def named(left_out: Mapping[str, str]) -> str:
    """The first photographs that are left out, with their reasons, as one line.

    Args:
        left_out: their reasons by name.
    """
    some = "; ".join(f"{name}: {why}" for name, why in [*left_out.items()][:NAMED])
    return f"{some}; ..." if len(left_out) > NAMED else some


def counted(count: int) -> str:
    """A number of photographs as text, such as "1 photograph" or "2 photographs"."""
    return f"{count} photograph{'s' * (count != 1)}"


def warn_of(left_out: Mapping[str, str], where: Path) -> None:
    """Log a warning if photographs are left out; `where` is the file with the full list."""
    if left_out:
        log.warning("%s left out (full list: %s): %s", counted(len(left_out)), where, named(left_out))


def without_unusable(
    make: Callable[[Mapping[str, str]], tuple[Made, Mapping[str, str]]],
) -> tuple[Made, dict[str, str]]:
    """Call `make` again, without the photographs that it could not use, until it can use all of them.

    Args:
        make: a function of the photographs that are left out so far. It returns its result, and the photographs that it
            could not use in addition.

    Returns:
        The last result, and all photographs that are left out: their reasons by name.
    """
    left_out: dict[str, str] = {}
    while True:
        made, more = make(left_out)
        if not more:
            return made, left_out
        left_out |= more
