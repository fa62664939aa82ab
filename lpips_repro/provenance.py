"""What a stored value depends on beside settings, weights and images: the code that made it, and the libraries below.

A value that was stored under another code or library is not used again. The code of a value is a list of files and
folders of this package, all of whose Python files count: a list of single functions would miss what they call.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lpips_repro.versions import OWN, ROOT, installed_version, package_version

PACKAGE = ROOT / OWN
LIBRARIES = ("torch", "torchvision", "numpy")
# From images in memory to the distances of any method.
METRICS = ("metrics", "weights", "backbones", "color.py", "precision.py", "evaluation/distances/compute.py")


def provenance(*sources: str, libraries: tuple[str, ...] = LIBRARIES, own: Callable[..., Any] | None = None) -> dict:
    """The code and the versions of libraries that a value depends on, as entries of its identity.

    Args:
        sources: files and folders of this package, such as "metrics" or "evaluation/distances/compute.py".
        libraries: names of packages; those that are not installed are None.
        own: a function that takes part, whose file counts too if it is not of this package.
    """
    code = digest_of(sources)
    file = Path(inspect.getfile(own)) if own is not None else PACKAGE
    if not file.is_relative_to(PACKAGE):
        code += f"+{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
    versions = {name: installed_version(name) for name in libraries}
    return {"code": f"{package_version(OWN)}+{code}", "libraries": versions}


@functools.cache
def digest_of(sources: tuple[str, ...]) -> str:
    """A digest of the names and contents of the Python files that files and folders of this package hold."""
    sha = hashlib.sha256()
    for source in sorted(sources):
        path = PACKAGE / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            sha.update(f"{file.relative_to(PACKAGE).as_posix()}\0".encode())
            sha.update(file.read_bytes())
    return sha.hexdigest()[:12]
