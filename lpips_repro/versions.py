"""Versions of packages and of this code, also if this package is not installed."""

import hashlib
import importlib.metadata
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWN = "lpips_repro"


def package_version(package: str) -> str:
    """The version of a package. If this package is not installed, it is the version of its source tree.

    Raises:
        importlib.metadata.PackageNotFoundError: if another package is not installed.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        if package != OWN:
            raise
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


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
