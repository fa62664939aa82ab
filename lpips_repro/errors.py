"""The one exception that the command line shows without a traceback, and the commonest reason for it."""

from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can mend: the message names the file or setting, what it holds, and the remedy."""


def check_choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raise UserError, naming the allowed values, unless `value` is one of them."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise UserError(f"{name}={value!r}: expected one of {', '.join(allowed)}")
