"""The one exception that the command line shows without a traceback, and the commonest reason for it."""

from collections.abc import Container, Iterable


class UserError(ValueError):
    """Something the user can mend: the message names the file or setting, what it holds, and the remedy."""


def check_choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raise UserError, naming the allowed values, unless `value` is one of them."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise UserError(f"{name}={value!r}: expected one of {', '.join(allowed)}")


def check_new(what: str, name: str, registry: Container[str]) -> None:
    """Raise UserError if a registry has the name already: the first one is not replaced."""
    if name in registry:
        raise UserError(f"{what} {name!r} is registered already: give yours another name")
