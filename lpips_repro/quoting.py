"""Text as a value of Hydra's: what its two grammars, of overrides and of references, would read as their own."""

import re

# What Hydra reads as it stands; and words that it takes for something else than text.
PLAIN = re.compile(r"/?[A-Za-z][\w/.-]*", re.ASCII)
WORDS = ("null", "true", "false", "nan", "inf")


def quoted(text: str) -> str:
    """A value for an override on the command line, `key=value`, that gives this text, whatever characters it has."""
    if PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    text = re.sub(r'(\\*)"', r'\1\1\\"', literal(text))  # backslashes count double before a quote, and only there
    text = re.sub(r"(\\+)\Z", r"\1\1", text)
    return f'"{text}"'


def literal(text: str) -> str:
    """A value for settings that are composed already: `${` in it is text, not a reference to another setting."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
