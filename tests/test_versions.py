import importlib.metadata
import shutil
import tomllib

import pytest

from lpips_repro import versions
from lpips_repro.versions import code_digest, package_version


def test_the_version_of_a_source_tree_that_is_not_installed_is_that_of_its_project_file(
    monkeypatch, versions_read_again
):
    def not_installed(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    written = tomllib.loads((versions.ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert package_version("lpips_repro") == written
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        package_version("torch")


def test_the_version_of_an_installed_package_is_its_own():
    assert package_version("torch") == importlib.metadata.version("torch")


def test_the_digest_of_the_code_follows_the_package_and_the_settings_alone(tmp_path, monkeypatch):
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
