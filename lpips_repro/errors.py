"""The exception that the command line shows without a traceback, and checks that raise it."""

import difflib
import os
from collections.abc import Container, Iterable

from lpips_repro.quoting import one_line


class UserError(ValueError):
    """An error that the user can fix. The message names the file or setting, its value, and the remedy.

    Its text is one line: line breaks and other unprintable characters, which file names may have, are escaped.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class Terminated(SystemExit):
    """SIGTERM ends the process. Its own class, since a `SystemExit` of user code is caught."""

    def __init__(self) -> None:
        super().__init__(143)


def check_choice(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raise UserError, with the allowed values and the likely one, unless `value` is allowed."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise UserError(f"{name}={value!r}: {expected(value, allowed)}")


def expected(value: object, allowed: Iterable[str], number: str = "one") -> str:
    """The text of a message on a value that is not allowed: the allowed values, and the likely one.

    Args:
        value: the value that is not allowed.
        allowed: the allowed values.
        number: the expected number of values, as a word.
    """
    allowed = tuple(allowed)
    text = f"expected {number} of {', '.join(allowed)}"
    likely = likely_names(value, allowed)
    return f"{text}: did you mean {' or '.join(likely)}?" if likely else text


def likely_names(value: object, allowed: Iterable[str]) -> list[str]:
    """Up to three allowed names that a value may mean, the likeliest first: `vgg16` for `vgg`."""
    if not isinstance(value, str):
        return []
    wanted, names = value.lower(), {name.lower(): name for name in allowed}
    begin = [name for name in names if wanted and (name.startswith(wanted) or wanted.startswith(name))]
    begin.sort(key=lambda name: abs(len(name) - len(wanted)))
    inside = [name for name in names if len(wanted) > 2 and wanted in name]
    return [names[name] for name in (begin or difflib.get_close_matches(wanted, names) or inside)[:3]]


def check_new(what: str, name: str, registry: Container[str]) -> None:
    """Raise UserError if a registry already has the name."""
    if name in registry:
        raise UserError(f"{what} {name!r} is already registered: give yours another name")


def check_utf8(name: str) -> None:
    """Raise UserError if a file name is not UTF-8: it can be neither stored nor printed."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{str(os.fsencode(name))[2:-1]}: not UTF-8: rename the file or folder") from None
