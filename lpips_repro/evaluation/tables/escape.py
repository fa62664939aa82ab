"""Text in Markdown and LaTeX: what these formats would take for commands is written so that it shows as it is."""

import re

from tabulate import LATEX_ESCAPE_RULES

_LATEX = str.maketrans({**LATEX_ESCAPE_RULES, "|": r"\textbar{}"})
# Entities, for what not every renderer of Markdown lets a backslash escape.
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]"} | {c: f"&#{ord(c)};" for c in "<>|~&"})
_CODE = re.compile(r"(`[^`]*`)")


def plain(text: str) -> str:
    """Text for a terminal, on one line."""
    return " ".join(text.split())


def latex(text: str) -> str:
    """Text for a cell of a LaTeX table."""
    return plain(text).translate(_LATEX)


def markdown(text: str) -> str:
    """Text for a cell of a Markdown table, without formatting."""
    return plain(text).translate(_MARKDOWN)


def markdown_with_code(text: str) -> str:
    """Text for a paragraph of Markdown; what stands between backticks is code, as it is."""
    parts = _CODE.split(plain(text))  # code at the odd places
    return "".join(part if place % 2 else part.translate(_MARKDOWN) for place, part in enumerate(parts))
