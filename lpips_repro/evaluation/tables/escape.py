"""Escape text for Markdown and LaTeX, so that special characters are shown as they are."""

import re

from tabulate import LATEX_ESCAPE_RULES

from lpips_repro.quoting import one_line

_LATEX = str.maketrans({**LATEX_ESCAPE_RULES, "|": r"\textbar{}"})
# Entities for the characters that not every Markdown renderer lets a backslash escape.
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]"} | {c: f"&#{ord(c)};" for c in "<>|~&"})
_CODE = re.compile(r"(`[^`]*`)")


def plain(text: str) -> str:
    """Return text for a terminal, on one line."""
    return one_line(" ".join(text.split()))


def latex(text: str) -> str:
    """Return text for a cell of a LaTeX table."""
    return plain(text).translate(_LATEX)


def markdown(text: str) -> str:
    """Return text for a cell of a Markdown table, without formatting."""
    return plain(text).translate(_MARKDOWN)


def markdown_with_code(text: str) -> str:
    """Return text for a Markdown paragraph; text between backticks is code and is not escaped."""
    parts = _CODE.split(plain(text))  # code at odd indices
    return "".join(part if index % 2 else part.translate(_MARKDOWN) for index, part in enumerate(parts))
