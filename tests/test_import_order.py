"""The imports between modules of the package, including those inside functions and for type checkers."""

import ast
import functools
import itertools
from pathlib import Path

import pytest

import lpips_repro

NAME = lpips_repro.__name__
PACKAGE = Path(lpips_repro.__file__).parent
# Packages and top-level modules, from top to bottom. Each imports only from those below it.
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
        "modules",
        "errors",
        "quoting",
    ),
]


def module_of(file: Path) -> str:
    """The name of a module without "lpips_repro."; the package itself is "__init__"."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports_of(source: str, modules: set[str]) -> set[str]:
    """The modules of the package that a source imports anywhere."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"a relative import: {ast.unparse(node)}"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    own = [name.removeprefix(NAME).removeprefix(".") for name in names if name.partition(".")[0] == NAME]
    # A name that is not a module belongs to the module before its last dot.
    return {name if name in modules else name.rpartition(".")[0] or "__init__" for name in own}


@functools.cache
def graph() -> dict[str, set[str]]:
    """For each module of the package, the modules that it imports."""
    files = {module_of(file): file for file in PACKAGE.rglob("*.py")}
    return {module: imports_of(file.read_text(), set(files)) - {module} for module, file in files.items()}


def part(module: str) -> str:
    """The top-level package or module that a module belongs to."""
    return module.partition(".")[0]


def upward(edges: dict[str, set[str]]) -> set[tuple[str, str]]:
    """The imports from a part that is above the importing one."""
    pairs = [(module, other) for module, others in edges.items() for other in others]
    return {(one, two) for one, two in pairs if ORDER.index(part(two)) < ORDER.index(part(one))}


def reachable(edges: dict[str, set[str]], start: str) -> set[str]:
    """All modules that a module imports, directly or indirectly."""
    found, left = set(), [start]
    while left:
        new = edges.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


def cycles(edges: dict[str, set[str]]) -> set[tuple[str, ...]]:
    """Groups of modules that all import each other, directly or indirectly."""
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


def test_no_modules_import_each_other_in_a_cycle():
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
def test_an_import_in_any_form_counts(source):
    assert imports_of(source, set(graph())) == {"entry_point"}
    assert upward({"metrics.l2": {"cli"}}) == {("metrics.l2", "cli")}


def test_a_relative_import_is_refused():
    for source in ("from . import entry_point", "from .entry_point import run", "from .. import entry_point"):
        with pytest.raises(AssertionError, match="a relative import"):
            imports_of(source, set())


def test_a_cycle_of_any_number_of_modules_is_found():
    circle = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}
    assert cycles(circle) == {("a", "b", "c")}
    assert cycles({one: {two} for one, two in itertools.pairwise("abcd")}) == set()
