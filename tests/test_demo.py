"""The demo: its steps, its download, and its end."""

import csv
import re

import pytest
import torch

from lpips_repro import demo
from lpips_repro.config import DatasetConfig, EvaluateConfig, KmeansConfig, TrainConfig, parse
from lpips_repro.datasets.mini import MiniConfig
from lpips_repro.errors import Terminated, UserError
from lpips_repro.weights.folder import WeightsNotFoundError
from tests.compose import settings
from tests.datasets.folders import make_split
from tests.makefile import script


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No weights on this computer, and a failure if the network is used."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for name in ("LPIPS_REPRO_WEIGHTS", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(demo, "fetch_quickly", lambda name: pytest.fail("the network was used"))


@pytest.fixture
def one_step(monkeypatch, tmp_path):
    """A function that runs a demo whose only step is the given Python code."""

    def run(code, *words):
        (tmp_path / "step.py").write_text(code)
        monkeypatch.setattr(demo, "WORK", (demo.Step("A step", "make step", (f"{tmp_path}/step.py",), "the"),))
        monkeypatch.setattr(demo, "TABLES", demo.Step("Tables", "make tables", (f"{tmp_path}/step.py",)))
        demo.run_demo(settings("demo", f"experiments={tmp_path}/experiments", *words), words)

    return run


def test_make_passes_the_settings_of_the_tables():
    assert script("demo", "ARGS=show=all download=false") == ["scripts/demo.py", "show=all", "download=false"]


def test_the_demo_uses_mini_and_downloads_unless_a_setting_forbids_it():
    cfg = parse(settings("demo"), EvaluateConfig)
    assert isinstance(cfg.data, MiniConfig)
    assert (cfg.name, cfg.download) == ("demo", True)
    assert not parse(settings("demo", "download=false"), EvaluateConfig).download


def test_the_tables_themselves_download_nothing(bare, one_step, tmp_path):
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    (tmp_path / "hub/checkpoints/squeezenet1_1-b8a52dc0.pth").touch()
    one_step("import sys; print(*sys.argv[1:])", "download=true")
    *_, tables = (tmp_path / "experiments/demo/demo.log").read_text().splitlines()
    assert tables == "download=true download=false"


def test_all_steps_share_the_folder_of_experiments(bare, one_step, tmp_path):
    one_step("import sys; print('the', *sys.argv[1:])", f"experiments={tmp_path}/mine", "download=false")
    step, tables = (tmp_path / "mine/demo/demo.log").read_text().splitlines()
    assert step == f"the experiments={tmp_path}/mine"
    assert tables == f"the experiments={tmp_path}/mine download=false download=false"


def test_every_step_composes():
    schemas = {"data.py": ("dataset", DatasetConfig), "train.py": ("train", TrainConfig)}
    schemas["init_kmeans.py"] = ("init_kmeans", KmeansConfig)
    for step in demo.WORK:
        config, schema = schemas[step.words[0]]
        parse(settings(config, *step.words[1:]), schema)


def test_existing_weights_are_named(bare, imagenet):
    assert demo.squeezenet_weights(allowed=True).endswith("already there")


def test_nothing_is_downloaded_if_downloads_are_off(bare):
    assert demo.squeezenet_weights(allowed=False) == "not downloaded: download=false"


def test_nothing_is_downloaded_if_ci_is_set(bare, monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert demo.squeezenet_weights(allowed=True) == "not downloaded: the environment variable CI is set"


def test_the_demo_continues_if_the_download_fails(bare, monkeypatch, one_step, capsys):
    def refuse(name):
        raise WeightsNotFoundError("https://host/file: no answer within 10 s")

    monkeypatch.setattr(demo, "fetch_quickly", refuse)
    one_step("print('the end')")
    lines = capsys.readouterr().out.splitlines()
    reason = "s: not downloaded, and the demo continues without them: https://host/file: no answer within 10 s"
    assert len([line for line in lines if line.endswith(reason)]) == 1
    assert len([line for line in lines if line.endswith("s: the end")]) == 2


def test_each_step_prints_its_description_time_and_result_and_its_log_is_kept(bare, one_step, capsys, tmp_path):
    one_step("import time; print('much'); time.sleep(0.6); print('the result\\nand more\\n')", "download=false")
    printed = capsys.readouterr().out
    seconds = re.search(r"2/3 A step \[make step\]\n    (\d+) s: the result\n", printed)[1]
    assert int(seconds) >= 1
    assert "much" not in printed
    assert (tmp_path / "experiments/demo/demo.log").read_text() == 2 * "much\nthe result\nand more\n\n"


def test_a_wrong_setting_is_refused_before_the_first_step(bare, one_step, capsys):
    with pytest.raises(UserError, match="show=al: expected one of made, all"):
        one_step("print('begun')", "show=al")
    assert capsys.readouterr().out == ""


def test_a_step_that_fails_ends_the_demo_and_names_its_log(bare, one_step, capsys, tmp_path):
    with pytest.raises(UserError, match=r"step.py: exit status 3: see its log in .*demo.log; the same command resumes"):
        one_step("print('all'); raise SystemExit(3)", "download=false")
    assert "3/3" not in capsys.readouterr().out
    assert (tmp_path / "experiments/demo/demo.log").read_text() == "all\n"


@pytest.mark.parametrize(("name", "error"), [("SIGTERM", Terminated), ("SIGINT", KeyboardInterrupt)])
def test_a_signal_lets_the_step_save_its_state(bare, one_step, tmp_path, name, error):
    saves = f"""
import os, signal, sys, time, pathlib
def save(*_):
    time.sleep(0.5)  # longer than Python waits after Ctrl-C
    pathlib.Path({str(tmp_path)!r}, "saved").touch()
    sys.exit(1)
signal.signal(signal.{name}, save)
os.kill(os.getppid(), signal.{name})
time.sleep(10)
"""
    with pytest.raises(error):
        one_step(saves, "download=false")
    assert (tmp_path / "saved").exists()


def test_the_end_is_short_and_leaves_out_the_rows_without_scores(tmp_path, imagenet, monkeypatch, capfd):
    for kind in ("2afc", "jnd"):
        make_split(tmp_path / "data", kind, split="cnn", count=4)
    folder = ("data=folder", f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", "data.observers=simulated")
    words = (*folder, f"experiments={tmp_path}/experiments", "device=cpu", "bootstrap=20")
    monkeypatch.setattr(demo, "WORK", ())
    demo.run_demo(settings("demo", *words), words)
    printed = capfd.readouterr().out
    end = printed[printed.index("2/2") :]
    assert len(end.splitlines()) < 40
    with (tmp_path / "experiments/demo/twoafc.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scored = [row for row in rows if row["all"]]
    assert "\nsqueeze lin v0.1 " in printed
    assert all(f" {row['all']} " in printed for row in scored)
    assert "–  " not in printed
    assert f"\n{len(rows) - len(scored)} rows have no scores: see the column note of {tmp_path}" in printed
    assert printed.endswith("everything else\n")
