"""The layout of the package: what imports what. Imports inside functions and for type checkers count too."""

import ast
import functools
import itertools
from pathlib import Path

import pytest

import lpips_repro

NAME = lpips_repro.__name__
PACKAGE = Path(lpips_repro.__file__).parent
# Top to bottom: packages, and modules outside of packages. Each imports only from those below it.
ORDER = [
    *("demo", "gpu", "paper", "benchmark", "cli", "export", "entry_point", "launch", "sweep", "collect", "report"),
    *("building", "training", "pretraining", "cnn_distortions"),
    *("evaluation", "features", "runs"),
    *("__init__", "metrics", "weights", "backbones"),
    *("photographs", "datasets", "distortions", "download", "images", "files", "provenance", "config"),
    *(
        "devices",
        "precision",
        "distributed",
        "parallel",
        "progress",
        "logs",
        "color",
        "versions",
        "quoting",
        "modules",
        "errors",
    ),
]


def module_of(file: Path) -> str:
    """The name of a module without that of the whole package, which is "__init__"."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports_of(source: str, modules: set[str]) -> set[str]:
    """The modules of the package that a source names in its imports, wherever these are."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    own = [name.removeprefix(NAME).removeprefix(".") for name in names if name.partition(".")[0] == NAME]
    # What is no module is imported from the one before the last dot.
    return {name if name in modules else name.rpartition(".")[0] or "__init__" for name in own}


@functools.cache
def graph() -> dict[str, set[str]]:
    """The modules of the package that each of them imports."""
    files = {module_of(file): file for file in PACKAGE.rglob("*.py")}
    return {module: imports_of(file.read_text(), set(files)) - {module} for module, file in files.items()}


def part(module: str) -> str:
    """The package that a module belongs to, or the module if it is of none."""
    return module.partition(".")[0]


def upward(edges: dict[str, set[str]]) -> set[tuple[str, str]]:
    """The imports of a part from one above it."""
    pairs = [(module, other) for module, others in edges.items() for other in others]
    return {(one, two) for one, two in pairs if ORDER.index(part(two)) < ORDER.index(part(one))}


def reachable(edges: dict[str, set[str]], start: str) -> set[str]:
    """All that is imported from a module, directly or not."""
    found, left = set(), [start]
    while left:
        new = edges.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


def cycles(edges: dict[str, set[str]]) -> set[tuple[str, ...]]:
    """Groups of modules, sorted, that all import each other, directly or not."""
    below = {module: reachable(edges, module) for module in edges}
    return {
        tuple(sorted({module} | {other for other in below[module] if module in below[other]}))
        for module in edges
        if module in below[module]
    }


def test_each_part_of_the_package_has_one_place_in_the_order():
    assert len(ORDER) == len(set(ORDER))
    assert {part(module) for module in graph()} == set(ORDER)


def test_imports_point_down_only():
    assert upward(graph()) == set()


def test_no_modules_import_each_other_in_a_circle():
    assert cycles(graph()) == set()


@pytest.mark.parametrize(
    "source",
    [
        "import lpips_repro.entry_point",
        "from lpips_repro.entry_point import run",
        "from lpips_repro import entry_point",
        "def call():\n    from lpips_repro.entry_point import run",
        "if TYPE_CHECKING:\n    import lpips_repro.entry_point as other",
    ],
)
def test_an_import_counts_in_whatever_form(source):
    assert imports_of(source, set(graph())) == {"entry_point"}
    assert upward({"metrics.l2": {"cli"}}) == {("metrics.l2", "cli")}


def test_a_circle_is_found_over_any_number_of_modules():
    circle = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}
    assert cycles(circle) == {("a", "b", "c")}
    assert cycles({one: {two} for one, two in itertools.pairwise("abcd")}) == set()
