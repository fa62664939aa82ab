"""Versions of packages and of this code."""

import functools
import hashlib
import importlib.metadata
from pathlib import Path

# The one place of the version: pyproject.toml reads it here.
VERSION = "0.2.0"
ROOT = Path(__file__).parents[1]
OWN = "lpips_repro"


@functools.cache  # Python reads the metadata again at every call
def package_version(package: str) -> str:
    """The version of a package. For this package, it is the version of the code that runs, installed or not.

    Raises:
        importlib.metadata.PackageNotFoundError: if another package is not installed.
    """
    return VERSION if package == OWN else importlib.metadata.version(package)


@functools.cache
def installed_version(package: str) -> str | None:
    """The version of a package, or None if no package of this name is installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def code_digest() -> str:
    """A digest of all files of the package and of `configs/`. It needs no git, and does not depend on documentation."""
    sha = hashlib.sha256()
    for file in sorted([*(ROOT / OWN).rglob("*.py"), *(ROOT / "configs").rglob("*.yaml")]):
        sha.update(f"{file.relative_to(ROOT).as_posix()}\0".encode())
        sha.update(file.read_bytes())
    return sha.hexdigest()[:12]
