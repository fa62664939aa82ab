import importlib.metadata
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lpips_repro.runs import record as module
from lpips_repro.runs.record import record_run


def test_a_run_folder_holds_settings_commit_seed_and_versions(tmp_path):
    record_run(tmp_path / "run", OmegaConf.create({"seed": 3, "name": "x", "folder": "${name}/y"}))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert OmegaConf.load(tmp_path / "run" / "config.yaml") == {"seed": 3, "name": "x", "folder": "x/y"}
    assert record["seed"] == 3
    assert record["packages"]["torch"] == importlib.metadata.version("torch")
    git = ["git", "-C", Path(module.__file__).parent, "rev-parse", "HEAD"]
    if shutil.which("git"):
        found = subprocess.run(git, capture_output=True, text=True, check=False)
        assert record["git_commit"] == (found.stdout.strip() if found.returncode == 0 else None)
    else:
        assert record["git_commit"] is None


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_the_record_has_the_commit_of_the_code_and_whether_it_was_changed(tmp_path, monkeypatch):
    code = tmp_path / "code"
    code.mkdir()
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), (*author, "commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(["git", "-C", code, *words], check=True)
    commit = subprocess.run(["git", "-C", code, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    monkeypatch.setattr(module, "__file__", str(code / "record.py"))
    for changed in (False, True):
        if changed:
            (code / "new.py").touch()
        record_run(tmp_path / "run", OmegaConf.create({"seed": 3}))
        record = json.loads((tmp_path / "run/run.json").read_text())
        assert (record["git_commit"], record["git_changes"]) == (commit, changed)


def test_outside_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "record.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    record_run(tmp_path / "run", OmegaConf.create({"seed": 3}))
    assert json.loads((tmp_path / "run/run.json").read_text())["git_commit"] is None


@pytest.mark.usefixtures("versions_read_again")
def test_a_package_that_is_not_there_or_has_another_name_is_null(tmp_path, monkeypatch):
    there = {"opencv-python": "4.9.0", "torch": "2.9"}

    def version(name):
        if name not in there:
            raise importlib.metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    record_run(tmp_path, OmegaConf.create({}))
    packages = json.loads((tmp_path / "run.json").read_text())["packages"]
    assert {name: version for name, version in packages.items() if version} == there
    assert packages["opencv-python-headless"] is packages["pillow"] is None
