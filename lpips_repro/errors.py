"""The one exception that the command line shows without a traceback, and the most frequent reasons for it."""

import difflib
import os
from collections.abc import Container, Iterable


class UserError(ValueError):
    """Something that the user can fix: the message names the file or setting, what it holds, and the remedy."""


class Terminated(SystemExit):
    """SIGTERM ends the process. A `SystemExit` of a user's code, on the other hand, is caught."""

    def __init__(self) -> None:
        super().__init__(143)


def check_choice(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raise UserError, naming the allowed values and the likely one, unless `value` is one of them."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise UserError(f"{name}={value!r}: {expected(value, allowed)}")


def expected(value: object, allowed: Iterable[str], number: str = "one") -> str:
    """What a message says of a value that does not exist: those that do, and the likely one.

    Args:
        value: what does not exist.
        allowed: what does.
        number: of values that are expected, in words.
    """
    allowed = tuple(allowed)
    text = f"expected {number} of {', '.join(allowed)}"
    likely = likely_names(value, allowed)
    return f"{text}: did you mean {' or '.join(likely)}?" if likely else text


def likely_names(value: object, allowed: Iterable[str]) -> list[str]:
    """Up to three allowed names that a value may stand for, the likeliest first: `vgg16` for `vgg`."""
    if not isinstance(value, str):
        return []
    wanted, names = value.lower(), {name.lower(): name for name in allowed}
    begin = [name for name in names if wanted and (name.startswith(wanted) or wanted.startswith(name))]
    begin.sort(key=lambda name: abs(len(name) - len(wanted)))
    return [names[name] for name in (begin or difflib.get_close_matches(wanted, names))[:3]]


def check_new(what: str, name: str, registry: Container[str]) -> None:
    """Raise UserError if a registry has the name already: the first one is not replaced."""
    if name in registry:
        raise UserError(f"{what} {name!r} is registered already: give yours another name")


def check_utf8(name: str) -> None:
    """Raise UserError for a name of a file that is not UTF-8: it can be neither stored nor printed."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{str(os.fsencode(name))[2:-1]}: not UTF-8: rename the file or folder") from None
