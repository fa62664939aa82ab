"""The words that make passes to programs, and the errors of make. `tests/last_words.py` stands for the programs."""

import json
import re
import shutil
import subprocess
import sys
import time

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lpips_repro.config import CnnDistortionsConfig, DatasetConfig, DisagreementsConfig, TrainConfig, parse
from lpips_repro.config.timm_nets import register_timm_nets
from tests.compose import settings
from tests.makefile import QUIET, ROOT, RUN, environment, make, script

# Each has a meaning for make, the shell, Hydra or OmegaConf.
HOSTILE = [
    "/d/a$b",
    "/d/$(shell touch hacked)",
    "/d/$(unclosed",
    "/it's",
    '/a"b',
    "/my data",
    "/a=b",
    "/a,b",
    "/a[0]",
    "/a{b}",
    "/${data.name}",
    r"/\${x}",
    "/a\\b",
    "/a\\",
    "/a#b",
    "/`id`",
    "/a;b|c&d>e",
    "/é",
    "/a:b*?(c)!%",
    "null",
    "007",
    "1e5",
    "./~x",
]


def refusal(*words: str) -> str:
    """The line with which make ends."""
    done = make(*words, *QUIET)
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("text", HOSTILE)
def test_a_folder_reaches_the_settings_unchanged(text):
    name, *overrides = script("data", "DATA=folder", f"DATA_ROOT={text}")
    assert name == "scripts/data.py"
    assert parse(settings("dataset", *overrides), DatasetConfig).data.root == text
    assert not (ROOT / "hacked").exists()


@pytest.mark.parametrize(
    ("target", "variable", "key"),
    [
        ("train", "DATA_ROOT", "data.root"),
        ("train-all", "DATA_ROOT", "data.root"),
        ("eval-tables", "DATA_ROOT", "data.root"),
        ("data-stats", "DATA_ROOT", "data.root"),
        ("init-kmeans", "IMAGES", "images"),
        ("pretrain", "IMAGES", "images"),
        ("pretrain", "TASK", "task"),
        ("build-dataset", "IMAGES", "images"),
        ("build-dataset", "OUT", "out"),
        ("simulate", "OUT", "out"),
        ("collect", "OUT", "out"),
        ("collect", "DATASET", "dataset"),
        ("bench", "AGAINST", "against"),
        ("train", "NET", "net"),
        ("train", "VARIANT", "variant"),
        ("data", "SPLITS", "splits"),
        ("disagreements", "METHODS", "methods"),
        ("compare", "RUNS", "runs"),
        ("disagreements", "SPLITS", "splits"),
        ("disagreements", "DATA_ROOT", "data.root"),
        ("data", "DATA", "data"),
    ],
)
def test_every_variable_reaches_its_setting_unchanged(target, variable, key):
    text = """/it's $b "c"=[d],\\${e}"""
    parser = OverridesParser.create()
    folder = ["DATA=folder"] if variable == "DATA_ROOT" else []
    words = [word for word in script(target, *folder, f"{variable}={text}")[1:] if word.startswith(f"{key}=")]
    (value,) = (parser.parse_override(word).value() for word in words)
    assert value == """/it's $b "c"=[d],\\\\\\${e}"""  # as OmegaConf reads it, where `${` refers to a setting


def test_plain_values_stay_as_they_are():
    words = script("train", "NET=vgg", "VARIANT=tune", "DATA=folder", "DATA_ROOT=/my/data")
    assert words == ["scripts/train.py", "net=vgg", "variant=tune", "data=folder", "data.root=/my/data"]
    words = script("disagreements", "METHODS=ssim,alex-lin-v0.1", "DATA=mini", "SPLITS=cnn,color")
    cfg = parse(settings("disagreements", *words[1:]), DisagreementsConfig)
    assert (cfg.methods, cfg.splits, cfg.data.name) == ("ssim,alex-lin-v0.1", "cnn,color", "mini")
    assert script("correlation", "DATA=mini") == ["scripts/correlation.py", "name=tables-mini"]
    assert script("gpu-bench", "NET=vgg") == ["scripts/gpu_bench.py", "net=[vgg]", "device=cuda"]
    assert script("pretrain") == ["scripts/pretrain.py"]


def test_args_are_words_of_the_shell_and_make_changes_nothing_in_them():
    words = script("eval-tables", "DATA=mini", """ARGS='net=[alex]' "name=a b" metric=['$HOME']""")
    assert words[2:] == ["net=[alex]", "name=a b", "metric=[$HOME]"]


def test_both_scripts_of_cnn_distortions_get_the_same_settings():
    done = make("cnn-distortions", "COUNT=3", "IMAGES=/my photos", "ARGS=seed=1", *QUIET)
    first, second = map(json.loads, done.stdout.splitlines())
    words = ['count="3"', 'images="/my photos"', "seed=1"]
    assert first == ["scripts/cnn_distortions.py", "--multirun", *words]
    assert second == ["scripts/cnn_distortions_sheet.py", *words]
    assert parse(settings("cnn_distortions", *words), CnnDistortionsConfig).count == 3


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "many", "range(3)", "1,2"])
def test_a_count_that_is_no_number_of_autoencoders_is_refused(count):
    done = make("cnn-distortions", f"COUNT={count}", *QUIET)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: COUNT={count}: expected an integer of at least 1\n"), done.stderr


def test_variables_of_the_environment_change_nothing():
    names = (
        "NET",
        "VARIANT",
        "DATA",
        "DATA_ROOT",
        "SPLITS",
        "TASK",
        "IMAGES",
        "COUNT",
        "AGAINST",
        "ARGS",
        "RUN",
        "PYTHON",
    )
    foreign = dict.fromkeys(names, "vgg")
    for target in ("train", "data", "pretrain", "bench"):
        assert script(target, **foreign) == script(target)
    assert "vgg" not in make("--dry-run", "--always-make", "setup", **foreign).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "net=squeeze"), "net=squeeze: variables are in upper case: NET=squeeze"),
        (("train", "data-root=/x"), "data-root=/x: variables are in upper case: DATA_ROOT=/x"),
        (("train", "NETS=vgg"), "NETS=vgg: no such variable: expected one of NET VARIANT DATA DATA_ROOT"),
        (("train", "DATAROOT=/x"), "DATAROOT=/x: no such variable: expected one of NET VARIANT DATA DATA_ROOT"),
        (("train", "seed=1"), 'seed=1: no such variable: .*settings go into ARGS, such as ARGS="seed=1"'),
        (("data-verify", "NET=vgg"), "NET=vgg: make data-verify does not use it: leave it out"),
        (("train-all", "NET=vgg"), "NET=vgg: make train-all does not use it"),
        (("lint", "ARGS=--fix"), "ARGS=--fix: make lint does not use it"),
        (("train", "NET="), "NET=: no value: set it, or leave it out"),
        (("eval-tables", "DATA_ROOT= "), "DATA_ROOT=: no value"),
        (("train", "DATA=mini", "DATA_ROOT=my"), "DATA_ROOT=my: only for a dataset that exists already: .*mini"),
        (("eval-tables", "DATA=mini", "DATA_ROOT=my"), "DATA_ROOT=my: .* mini is made in data/mini"),
    ],
)
def test_a_variable_without_an_effect_is_refused(words, message):
    line = refusal(*words)
    assert re.search(rf"^Makefile:\d+: \*\*\* {message}", line), line


@pytest.mark.parametrize("held", ["", "2afc/val/mine", "readme"])
def test_a_folder_without_bapps_does_not_begin_its_download(tmp_path, held):
    (tmp_path / held).mkdir(parents=True, exist_ok=True)
    for target in ("data", "train", "eval-tables"):
        done = make(target, f"DATA_ROOT={tmp_path}", *QUIET)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: DATA_ROOT={tmp_path}: holds no split of BAPPS"), done.stderr
        assert f"DATA=folder DATA_ROOT={tmp_path}; without DATA_ROOT" in done.stderr
    assert script("data", f"DATA_ROOT={tmp_path}", "ARGS=data.unpack=true")[-2:] == [
        f"data.root={tmp_path}",
        "data.unpack=true",
    ]


def test_a_folder_of_bapps_is_accepted(tmp_path):
    (tmp_path / "2afc/val/cnn").mkdir(parents=True)
    assert script("data", f"DATA_ROOT={tmp_path}")[-1] == f"data.root={tmp_path}"


def test_variables_of_make_and_of_other_programs_still_work():
    others = ("SHELL=/bin/bash", "PYTHON=python3", "PYTEST_ADDOPTS=-x", "LPIPS_REPRO_WEIGHTS=/w", "-j2", "MAKEFLAGS=-s")
    assert script("train", *others) == script("train")
    done = make("--dry-run", "test", "RUN=python3", "ARGS=-k lpips")
    assert done.stdout.endswith("python3 -m pytest -n 2 --dist loadfile -k lpips\n")


def test_a_variable_of_one_of_several_targets_is_accepted():
    assert make("--dry-run", "data", "train", "NET=vgg", "DATA=mini", RUN).returncode == 0


def test_help_installs_nothing(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(["make", "help"], cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert "train " in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


def test_help_lists_every_target_below_a_heading_and_recommends_the_demo():
    first, *lines = make("help").stdout.splitlines()
    assert first.endswith("New here: make demo")
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(listed) == sorted(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert lines[:2] == ["", "Start"]


def test_any_network_of_timm_can_be_named():
    overrides = script("train", "NET=timm/resnet18", "DATA=mini")[1:]
    assert overrides[0] == "net=timm/resnet18"
    register_timm_nets(overrides)
    (net,) = parse(settings("train", *overrides), TrainConfig).net.values()
    assert net.backbone == "timm/resnet18"


@pytest.mark.parametrize("target", ["paper", "eval-tables", "demo"])
def test_a_sigterm_to_make_reaches_the_program(tmp_path, target):
    """Settings with quotes start a shell, which would end alone, and leave the program behind."""
    (tmp_path / "program.py").write_text(
        "import pathlib, signal, sys, time\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "def end(*_):\n    (folder / 'signal').touch()\n    sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "(folder / 'ready').touch()\n"
        "time.sleep(5)\n"
    )
    run = f"RUN={sys.executable} {tmp_path}/program.py"
    words = ["make", "--silent", "--old-file=.venv/.installed", run, target, "ARGS='train=[\"trainer.epochs=1\"]'"]
    with subprocess.Popen(words, cwd=ROOT, env=environment(), stderr=subprocess.PIPE) as process:
        while not (tmp_path / "ready").exists() and process.poll() is None:
            time.sleep(0.01)
        process.terminate()
    assert (tmp_path / "signal").exists()
