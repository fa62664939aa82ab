"""The requirements of pyproject.toml, the versions of requirements.lock, and the oldest versions that are tested."""

import subprocess
import sys
import tomllib

from packaging.requirements import Requirement

from tests.compose import CONFIGS

ROOT = CONFIGS.parent


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


# Extras with their own lock, since few users need them.
APART = ("collect", "collect-test")


def required(apart=False):
    extras = project()["optional-dependencies"]
    chosen = [group for name, group in extras.items() if (name in APART) == apart]
    groups = chosen if apart else [project()["dependencies"], *chosen]
    return [found for group in groups for line in group if (found := Requirement(line)).name != "lpips_repro"]


def locked(name):
    lines = (line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#"))
    return {name.lower(): version for name, _, version in (line.partition("==") for line in lines)}


def test_the_lock_has_a_version_of_everything_that_is_required():
    versions = locked("requirements.lock")
    for requirement in required():
        assert requirement.specifier.contains(versions[requirement.name.lower()]), requirement


def test_the_lock_of_collect_has_the_other_packages_and_changes_no_version():
    versions, others = locked("requirements-collect.lock"), locked("requirements.lock")
    for requirement in required(apart=True):
        assert requirement.specifier.contains({**versions, **others}[requirement.name.lower()]), requirement
    assert not versions.keys() & others.keys()


def test_the_oldest_versions_are_exact_and_within_the_bounds():
    printed = subprocess.check_output([sys.executable, ROOT / ".ci/lowest.py"], text=True).splitlines()
    oldest = {found.name: found.specifier for found in map(Requirement, printed)}
    for requirement in required():
        if requirement.name in ("codespell", "mkdocs-material", "mkdocstrings", "mypy", "playwright", "ruff"):
            assert requirement.name not in oldest
            continue
        (exact,) = (part.version for part in oldest[requirement.name] if part.operator == "==")
        assert requirement.specifier.contains(exact), requirement
