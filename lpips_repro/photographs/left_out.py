"""Photographs that cannot be used are left out: they are counted and named, and the others are used."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

NAMED = 5  # photographs left out that a message names
Made = TypeVar("Made")


def reason(path: Path, error: Exception) -> str:
    """Why a photograph cannot be used, from the error that names it: without its path and the remedy."""
    return str(error).removeprefix(f"{path}: ").partition(": ")[0]


def named(left_out: Mapping[str, str]) -> str:
    """The first photographs that are left out, with their reasons.

    Args:
        left_out: reasons by name, the path in the folder of photographs.
    """
    some = "; ".join(f"{name}: {why}" for name, why in [*left_out.items()][:NAMED])
    return f"{some}; ..." if len(left_out) > NAMED else some


def counted(count: int) -> str:
    """A number of photographs in words: "1 photograph", "2 photographs"."""
    return f"{count} photograph{'s' * (count != 1)}"


def warn_of(left_out: Mapping[str, str], where: Path) -> None:
    """Warn of photographs that are left out, if there are any; `where` is the file that has them all."""
    if left_out:
        log.warning("%s left out (all of them in %s): %s", counted(len(left_out)), where, named(left_out))


def without_unusable(
    make: Callable[[Mapping[str, str]], tuple[Made, Mapping[str, str]]],
) -> tuple[Made, dict[str, str]]:
    """What is made of a folder of photographs, as if those that cannot be used were not in it; and those left out.

    Args:
        make: makes it without those that are left out so far; returns it with those that it could not use either. It
            is called again until it could use all.
    """
    left_out: dict[str, str] = {}
    while True:
        made, more = make(left_out)
        if not more:
            return made, left_out
        left_out |= more
