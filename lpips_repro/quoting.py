"""Quote text: for Hydra's grammars (of overrides, and of references to settings), and for lines that are shown."""

import re

# Text that needs no quotes, except for words that are not read as text.
PLAIN = re.compile(r"/?[A-Za-z][\w/.-]*", re.ASCII)
WORDS = ("null", "true", "false", "nan", "inf")


def quoted(text: str) -> str:
    """A value for an override on the command line, `key=value`, that gives this text. It may have any characters."""
    if PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    text = re.sub(r'(\\*)"', r'\1\1\\"', literal(text))  # only before a quote, backslashes must be doubled
    text = re.sub(r"(\\+)\Z", r"\1\1", text)
    return f'"{text}"'


def literal(text: str) -> str:
    """A value for composed settings in which `${` is text, not a reference to another setting."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def as_utf8(text: str) -> str:
    r"""Return a text in which bytes of file names that are not UTF-8 are escaped, such as \xff."""
    return re.sub(r"[\udc80-\udcff]", lambda found: rf"\x{ord(found[0]) - 0xDC00:02x}", text)


def one_line(text: str) -> str:
    """A text with line breaks and other unprintable characters escaped, for output; file names may have them."""
    return text if text.isprintable() else "".join(map(_printable, as_utf8(text)))


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
