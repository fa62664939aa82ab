"""The code and libraries that a stored value depends on, in addition to settings, weights and images.

A value that was stored with other code or libraries is not used again. The code of a value is a list of files and
folders of this package, of which all Python files count. A list of functions would miss the functions that they call.

A user's function, such as a metric or a network, counts with the file that defines it and the Python files that this
imports, directly or indirectly, from its own folder or below. Imports are found in the source, so that other loaded
modules do not matter. Paths of files do not count. Imports from other folders, imports under names made at run time,
data files, and code typed into an interactive session do not count either. For an installed package only the file that
defines the function counts.
"""

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lpips_repro.versions import OWN, ROOT, installed_version, package_version

PACKAGE = ROOT / OWN
LIBRARIES = ("torch", "torchvision", "numpy")
# The entries of an identity that change with versions of the program or libraries.
VERSIONS = {"code": "the code that computes them", "libraries": "the libraries that it uses"}
# The code from images in memory to the distances of any method.
METRICS = (
    *("metrics", "weights", "backbones", "color.py", "precision.py"),
    "config/library_table.py",  # ranges and best values of other libraries' metrics
    "evaluation/distances/compute.py",
)


def provenance(
    *sources: str, libraries: tuple[str, ...] = LIBRARIES, own: Iterable[Callable[..., Any] | None] = ()
) -> dict[str, Any]:
    """The code and the versions of libraries that a value depends on, as entries of its identity.

    Args:
        sources: files and folders of this package, such as "metrics" or "evaluation/distances/compute.py".
        libraries: names of packages; those that are not installed are None.
        own: functions that are used, whose files also count if they are not of this package.
    """
    code = "+".join(filter(None, (package_version(OWN), digest_of(sources), own_code(*own))))
    return {"code": code, "libraries": {name: installed_version(name) for name in libraries}}


@functools.cache
def digest_of(sources: tuple[str, ...]) -> str:
    """A digest of the names and contents of the Python files in files and folders of this package."""
    sha = hashlib.sha256()
    for source in sorted(sources):
        path = PACKAGE / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            sha.update(f"{file.relative_to(PACKAGE).as_posix()}\0".encode())
            sha.update(file.read_bytes())
    return sha.hexdigest()[:12]


def own_code(*functions: Callable[..., Any] | None) -> str:
    """The digests of the code of functions that are not of this package (see above), or "" if all are.

    Args:
        functions: functions, classes or other callable objects; None is ignored.
    """
    files = {file_of(function) for function in functions}
    own = [file for file in files if file is not None and not file.is_relative_to(PACKAGE)]
    return "+".join(sorted({_digest_with_imports(file) for file in own}))


def file_of(function: Callable[..., Any] | None) -> Path | None:
    """The Python file of the module of a function, class or other callable object, or None."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isbuiltin(function):  # the module of torch.neg is a Python file
        return None
    # Not the file of its code, which may be a decorator's, such as torch.no_grad().
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    file = Path(getattr(module, "__file__", None) or "").absolute()
    return file if file.suffix == ".py" and file.is_file() else None


def _digest_with_imports(file: Path) -> str:
    """A digest of a file, and of the names and contents of the files that it imports from its folder."""
    folder, found, left = file.parent, {file}, [file]
    while left and not {"site-packages", "dist-packages"} & set(file.parts):
        new = set(_imported_files(left.pop(), folder)) - found
        found |= new
        left += new
    sha = hashlib.sha256(file.read_bytes())
    for other in sorted(found - {file}):
        sha.update(f"\0{other.relative_to(folder).as_posix()}\0".encode())
        sha.update(other.read_bytes())
    return sha.hexdigest()[:12]


def _imported_files(file: Path, folder: Path) -> Iterator[Path]:
    """The files in a folder or below it, but not of this package, that a file may import."""
    for bases, parts in _imports(file):
        modules = [base.joinpath(*parts[:count]) for base in bases for count in range(1, len(parts) + 1)]
        for path in [path for one in modules for path in (one / "__init__.py", one.with_name(f"{one.name}.py"))]:
            if path.is_relative_to(folder) and not path.is_relative_to(PACKAGE) and path.is_file():
                yield path


def _imports(file: Path) -> Iterator[tuple[Sequence[Path], list[str]]]:
    """Yield each import of a file: the folders that its name may be found in, and the parts of the name."""
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError):  # the file may never be imported
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((file.parents, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import begins in the folder that the dots mean.
            package = [folder.name for folder in file.parents[node.level - 1 : node.level]] if node.level else []
            parts = [*package, *(node.module.split(".") if node.module else [])]
            bases = file.parents[node.level : node.level + 1] if node.level else file.parents
            yield from ((bases, [*parts, alias.name]) for alias in node.names)
