import importlib.metadata
import re
import shutil
import tomllib

import pytest
import yaml
from setuptools.config.expand import read_attr

import lpips_repro
from lpips_repro import versions
from lpips_repro.versions import code_digest, package_version


def test_the_version_is_in_one_place_and_equals_that_of_citation_and_changelog():
    project = tomllib.loads((versions.ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    attribute = project["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert read_attr(attribute, root_dir=versions.ROOT) == package_version("lpips_repro") == lpips_repro.__version__
    citation = yaml.safe_load((versions.ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == lpips_repro.__version__
    released = re.findall(r"^## \[([\d.]+)\]", (versions.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == lpips_repro.__version__


def test_the_version_of_an_installed_package_is_its_own():
    assert package_version("torch") == importlib.metadata.version("torch")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        package_version("no-such-package")


def test_the_digest_of_the_code_depends_only_on_the_package_and_the_settings(tmp_path, monkeypatch):
    for folder in ("lpips_repro", "configs"):
        shutil.copytree(versions.ROOT / folder, tmp_path / folder)
    first = code_digest()
    monkeypatch.setattr(versions, "ROOT", tmp_path)
    assert code_digest() == first
    (tmp_path / "README.md").write_text("other words")
    (tmp_path / "lpips_repro" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "lpips_repro" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert code_digest() == first
    digests = {first}
    for changed in ("lpips_repro/errors.py", "configs/train.yaml"):
        with (tmp_path / changed).open("a") as file:
            file.write("# a change\n")
        digests.add(code_digest())
    assert len(digests) == 3
