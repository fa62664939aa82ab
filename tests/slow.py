"""Cases of a test of which `make test` runs a few, and `make test-all` the others too."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow_but(few: Collection[Any], cases: Iterable[Any]) -> list[Any]:
    """All cases for `parametrize`, and all but a few of them marked `slow`.

    Args:
        few: those that are quick, which show the promise; each is one of the cases.
        cases: values, or tuples of values if the test takes several.
    """
    cases = list(cases)
    if unknown := [case for case in few if case not in cases]:
        raise ValueError(f"{unknown}: expected some of {cases}")
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=() if case in few else pytest.mark.slow)
        for case in cases
    ]
