"""Limits of the length of functions and files."""

import ast
from pathlib import Path

import lpips_repro

PACKAGE = Path(lpips_repro.__file__).parent
LONGEST_FUNCTION = 70  # lines
LONGEST_FILE = 260


def long_functions(source: str, longest: int = LONGEST_FUNCTION) -> set[str]:
    """The names of functions with more lines, decorators included."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    starts = [min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) for node in nodes]
    return {node.name for node, start in zip(nodes, starts, strict=True) if node.end_lineno - start >= longest}


def test_no_file_of_the_package_is_long():
    lines = {file: len(file.read_text().splitlines()) for file in PACKAGE.rglob("*.py")}
    assert {str(file): count for file, count in lines.items() if count > LONGEST_FILE} == {}


def test_no_function_of_the_package_is_long():
    sources = {file.relative_to(PACKAGE).as_posix(): file.read_text() for file in PACKAGE.rglob("*.py")}
    assert {f"{file}:{name}" for file, source in sources.items() for name in long_functions(source)} == set()


def test_lines_of_methods_and_decorators_count():
    source = "class A:\n    @property\n    def long(self):\n        a = 1\n\n        return a\n"
    assert long_functions(source, 4) == {"long"}
    assert long_functions(source, 5) == set()
