"""User, password and token of a mirror reach the mirror, and nothing that is written or printed."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from lpips_repro.config import DatasetConfig, parse, secrets
from lpips_repro.config.secrets import hide_arguments, whole_mirrors
from lpips_repro.download.mirrors import file_address
from lpips_repro.errors import UserError
from lpips_repro.runs.record import record_run
from tests.compose import CONFIGS, settings
from tests.datasets.server import Step, serve
from tests.processes import PATIENCE, REPOSITORY

# A script as those of scripts/, but for what it does, which takes no time.
SCRIPT = """
import logging
from pathlib import Path
import hydra
from omegaconf import OmegaConf
from lpips_repro.entry_point import run
from lpips_repro.config import TrainConfig, parse
from lpips_repro.download.fetch import fetch_archive

@hydra.main(version_base="1.3", config_path="{configs}", config_name="train")
def main(cfg):
    import lpips_repro.datasets  # registers what the settings choose, in the processes of joblib as well
    logging.info("mirrors %s", cfg.data.mirrors)
    mirrors = parse(cfg, TrainConfig).data.mirrors
    fetch_archive("jnd.tar.gz", mirrors, Path("{folder}") / str(cfg.seed), needed_bytes=0, attempts=1)

if __name__ == "__main__":
    run(main)
"""
JOBLIB = ("seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


def run_script(folder, configs, *words):
    """Run the script in a process with these settings, in a folder; gives the ended process."""
    script = folder / "script.py"
    script.write_text(SCRIPT.format(configs=configs, folder=folder / "archives"))
    return subprocess.run(
        [sys.executable, script, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_PROXY": "127.0.0.1"},
    )


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """What a test makes this process remember is forgotten after it."""
    monkeypatch.setenv(secrets.VARIABLE, "{}")


@pytest.mark.parametrize("place", ["command", "file"])
@pytest.mark.parametrize("mode", ["run", "sweep", "joblib"])
def test_secrets_reach_the_mirror_and_nothing_that_a_script_writes_or_prints(tmp_path, place, mode):
    configs = tmp_path / "configs"
    shutil.copytree(CONFIGS, configs)
    words = [f"experiments={tmp_path}/out", f"hydra.run.dir={tmp_path}/out", f"hydra.sweep.dir={tmp_path}/out"]
    words += ["hydra.output_subdir=.hydra", "hydra.verbose=true"]
    words = [*{"run": (), "sweep": ("--multirun", "seed=0,1"), "joblib": ("--multirun", *JOBLIB)}[mode], *words]
    with serve(b"", after=Step(403)) as server:
        mirror = server.url.replace("//", "//n0body:pass%2Fword@") + ";param=t0ken1?key=t0ken2&a=b,c"
        if place == "command":
            words.append(f'data.mirrors=["{mirror}"]')
        else:
            file = configs / "data/bapps.yaml"
            file.write_text(re.sub(r"(mirrors:\n  - ).*", rf'\1"{mirror}"', file.read_text()))
        ended = run_script(tmp_path, configs, *words)
        assert ended.returncode == 1
        assert len(server.requests) == (1 if mode == "run" else 2)
        assert all(request["Authorization"] == "Basic bjBib2R5OnBhc3Mvd29yZA==" for request in server.requests)
        assert set(server.paths) == {"/dataset;param=t0ken1/jnd.tar.gz?key=t0ken2&a=b,c"}
    shutil.rmtree(configs)
    written = {str(path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(server.url in text for text in written.values()), "the settings are written"
    for where, text in {**written, "stdout": ended.stdout, "stderr": ended.stderr}.items():
        for secret in ("n0body", "pass%2Fword", "pass/word", "t0ken1", "t0ken2"):
            assert secret not in text, where
    assert "Traceback" not in ended.stdout + ended.stderr
    assert f"not available from any mirror: {server.url}/jnd.tar.gz: 403 Forbidden;" in ended.stderr


def test_a_password_that_is_read_in_two_ways_reaches_no_server_and_is_refused(tmp_path):
    with serve(b"", after=Step(403)) as server:
        mirror = server.url.replace("//", "//n0body:12/pass@")
        ended = run_script(tmp_path, CONFIGS, f"experiments={tmp_path}", f'data.mirrors=["{mirror}"]')
        assert not server.requests
    assert ended.returncode == 1
    assert "data.mirrors: 'http://***@127.0.0.1" in ended.stderr
    assert "12/pass" not in ended.stdout + ended.stderr


def test_the_record_of_a_run_has_the_public_addresses(tmp_path, monkeypatch):
    mirrors = 'data.mirrors=["https://me:secret@host/x?key=secret","/folder"]'
    monkeypatch.setattr(sys, "argv", ["train.py", mirrors, "seed=1"])
    cfg = settings("dataset", mirrors)
    record_run(tmp_path, cfg)
    assert "secret" not in (tmp_path / "config.yaml").read_text() + (tmp_path / "run.json").read_text()
    command = json.loads((tmp_path / "run.json").read_text())["command"]
    assert command == ["train.py", 'data.mirrors=["https://host/x","/folder"]', "seed=1"]
    assert list(cfg.data.mirrors) == ["https://me:secret@host/x?key=secret", "/folder"]


@pytest.mark.parametrize(
    ("word", "shown", "whole"),
    [
        ('data.mirrors=["https://u:a b@h/x?k&l","/f"]', 'data.mirrors=["https://h/x","/f"]', "https://u:a b@h/x?k&l"),
        ("data.mirrors=['https://u:a\"b@h/x']", "data.mirrors=['https://h/x']", "https://u:a\"b@h/x"),
        (r'data.mirrors=["https://u:a\"b@h/x"]', 'data.mirrors=["https://h/x"]', 'https://u:a"b@h/x'),
        ("data.mirrors=[https://u:p@h/x,/f]", "data.mirrors=[https://h/x,/f]", "https://u:p@h/x"),
        ("data.mirrors=[https://u:p,q@h/x,/f]", "data.mirrors=[https://h/x,/f]", "https://u:p,q@h/x"),
        ("data.mirrors=https://u:p@h/x?k=1", "data.mirrors=https://h/x", "https://u:p@h/x?k=1"),
        ("data={mirrors:[https://u:p@h/x]}", "data={mirrors:[https://h/x]}", "https://u:p@h/x"),
        (r"data.mirrors=[https://h/x?k\=1]", "data.mirrors=[https://h/x]", "https://h/x?k=1"),
        ("data.mirrors=[https://h/x,/a@b?c,file:///d@e]", "data.mirrors=[https://h/x,/a@b?c,file:///d@e]", "https://h/x"),
        ("data.root=https://u:p@h", "data.root=https://u:p@h", "https://h"),
    ],
)  # fmt: skip
def test_an_override_keeps_its_form_and_the_whole_address_is_remembered(word, shown, whole):
    assert hide_arguments([word, "seed=1"]) == [shown, "seed=1"]
    public = "https://h" if "root" in word else "https://h/x"
    assert whole_mirrors([public, "/f"]) == [whole, "/f"]


def test_two_mirrors_with_one_public_address_are_both_tried():
    mirrors = ["https://h/x?key=one", "https://h/x?key=two"]
    hide_arguments([f'data.mirrors=["{mirrors[0]}","{mirrors[1]}"]'])
    assert whole_mirrors(["https://h/x", "https://h/x"]) == mirrors
    assert file_address(mirrors[1], "y") == "https://h/x/y?key=two"


def test_a_hidden_mirror_that_cannot_be_used_is_refused_with_the_settings():
    (word,) = hide_arguments(['data.mirrors=["https://u:12/secret@h/x"]'])
    with pytest.raises(UserError, match=r"^data.mirrors: 'https://\*\*\*@h/x' is not a mirror") as caught:
        parse(settings("dataset", word), DatasetConfig)
    assert "secret" not in str(caught.value)
