"""Reading of JSON files that may be damaged or hostile."""

import json
import math
from pathlib import Path
from typing import Any

from lpips_repro.errors import UserError

MOST_LEVELS = 100  # of brackets in each other; files of this project have fewer than 10
MOST_DIGITS = 20  # of an integer: 64 bits


def read_json(path: Path, *, finite: bool = True) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        finite: whether NaN and infinities are errors; they may be settings of a method.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not a regular file or not JSON in UTF-8, if it is nested deeper than 100 levels, or if a
            number is not finite or does not fit into 64 bits. The message is the reason, without the file.
    """
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")  # opening a FIFO waits for its writer
    return parse_json(path.read_bytes(), finite=finite)


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """The object in a JSON file; UserError, with the remedy, if it cannot be read or is not an object."""
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot be read ({reason}): {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, expected names and values: {remedy}")
    return content


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """The content of a JSON text; `finite` and ValueError as of `read_json`."""
    try:
        decoded = text if isinstance(text, str) else text.decode()
        number = _finite if finite else float
        content = json.loads(decoded, parse_int=_integer, parse_float=number, parse_constant=number)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"nested deeper than {MOST_LEVELS} levels") from None
    _check_levels(content)
    return content


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:MOST_DIGITS]} is not a finite number")
    return value


def _check_levels(content: Any) -> None:
    """Raise ValueError if values are nested too deeply for what is done with them, although they could be parsed."""
    level = [content]
    for _ in range(MOST_LEVELS + 1):
        parts = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [value for part in parts for value in part]
        if not level:
            return
    raise ValueError(f"nested deeper than {MOST_LEVELS} levels")
