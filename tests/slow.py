"""Cases of a test, of which `make test` runs a few, and `make test-all` runs all."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow_but(few: Collection[Any], cases: Iterable[Any]) -> list[Any]:
    """All cases for `parametrize`; those that are not in `few` are marked `slow`.

    Args:
        few: the cases that `make test` runs; each must be in `cases`.
        cases: values, or tuples of values if the test takes several.
    """
    cases = list(cases)
    if unknown := [case for case in few if case not in cases]:
        raise ValueError(f"{unknown}: expected some of {cases}")
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=() if case in few else pytest.mark.slow)
        for case in cases
    ]
