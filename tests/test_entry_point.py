"""Errors of the user at the command line are one line each, with the remedy."""

import errno
import io
import logging
import re
import shlex
import subprocess
import sys
import threading

import pytest

from lpips_repro.config import EvaluateConfig, PaperConfig, ReportConfig, TrainConfig, parse
from lpips_repro.entry_point import _command_of, run
from lpips_repro.files import write_whole
from tests.compose import CONFIGS, settings

ROOT = CONFIGS.parent


def ended(monkeypatch, config, *words):
    """The error line with which a script ends."""
    monkeypatch.setattr(sys, "argv", ["script.py", *words])
    with pytest.raises(SystemExit) as end:
        run(lambda: settings(config, *words))
    message = str(end.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("config", "override", "message"),
    [
        ("train", "data=null", "data=null: expected one of bapps, folder, kadid10k, mini, nights, tid2013"),
        ("train", "net=null", "net=null: expected one of alex"),
        ("train", "variant=null", "variant=null: expected one of lin"),
        ("train", "trainer=mini_lim", "trainer=mini_lim: expected one of mini_lin, mini_tune: did you mean mini_lin"),
        ("train", "+trainer=", "+trainer=: expected one of mini_lin, mini_tune"),
        ("train", "trainer=null", "trainer=null: expected one of mini_lin"),
        ("train", "variant=[lin]", "variant=[lin]: expected one name: variant=lin"),
        ("train", "data=[mini,folder]", "data=[mini,folder]: expected one name: data=mini"),
        ("evaluate", "data=null", "data=null: expected one of bapps"),
        ("evaluate", "metric=null", "metric=null: expected one of dists"),
        ("pretrain", "task=null", "task=null: expected one of bigan"),
        ("dataset", "data=5", "data=5: expected one of bapps"),
        ("train", "net=vgg16", "net=vgg16: expected one of alex, "),
        ("evaluate", "net=[alex,vgg16]", "net=vgg16: expected some of alex, "),
        ("train", "net=a/b", "net=a/b: expected one of alex, "),
        ("train", "hydra/launcher=joblb", "hydra/launcher=joblb: expected one of basic, joblib"),
        ("sparsity", "weights=[/a/b=c.pth]", "weights=[/a/b=c.pth]: Hydra cannot read this value"),
        ("train", "net.alex.weights=/x=y.pth", "net.alex.weights=/x=y.pth: Hydra cannot read this value"),
        ("train", "data.root=/a,b", "data.root=/a,b: Hydra cannot read this value"),
        ("train", "data.root='x", "data.root='x: Hydra cannot read this value"),
        ("train", "seed", "seed: expected KEY=VALUE"),
        ("train", f"seed={'9' * 5000}", f"seed={'9' * 55}...: a number has too many digits"),
        ("train", f"net={'[' * 2000}{']' * 2000}", f"net={'[' * 56}...: brackets are nested too deeply"),
        ("train", "sed=1", "sed: unknown setting: expected one of "),
    ],
)
def test_an_override_that_hydra_refuses_is_one_line(monkeypatch, config, override, message):
    assert ended(monkeypatch, config, override).startswith(f"error: {message}")


def test_schedules_of_another_configuration_folder_are_accepted(monkeypatch):
    ran = []
    monkeypatch.setattr(sys, "argv", ["script.py", "--config-dir=mine", "trainer=mine"])
    run(lambda: ran.append(True))
    assert ran


@pytest.mark.parametrize(
    ("config", "override", "message"),
    [
        ("train", "net=vgg16", "timm/NAME: did you mean vgg?"),
        ("train", "net=resnet", "did you mean resnet18 or resnet50 or resnet50_mocov3?"),
        ("train", "variant=linear", "did you mean lin?"),
        ("train", "sed=1", "did you mean seed?"),
        ("train", "net.alex.weights=/x", "or +net.alex.weights=VALUE to add it"),
    ],
)
def test_the_likely_name_is_the_end_of_the_line(monkeypatch, config, override, message):
    assert ended(monkeypatch, config, override).endswith(message)


@pytest.mark.parametrize("override", ["weights=[/a/b=c.pth]", "weights=[/a,/b=c]", "name=a=b"])
def test_the_quotes_that_the_line_advises_are_correct(monkeypatch, override):
    *_, advised = ended(monkeypatch, "sparsity", override).partition("for the shell: ")
    in_shell, _, in_make = advised.partition(", and in make also as ")
    words = subprocess.check_output(["sh", "-c", f"printf %s {in_shell}"], text=True)
    args = subprocess.check_output(["sh", "-c", f'{in_make}; printf %s "$ARGS"'], text=True)
    assert shlex.split(args) == [words]  # make passes it to a shell unchanged
    key, _, value = override.partition("=")
    found = settings("sparsity", words)[key]
    assert (list(found) if key == "weights" else found) == (value[1:-1].split(",") if key == "weights" else value)


def test_a_value_that_is_not_utf8_is_one_line():
    done = subprocess.run(
        [sys.executable, "scripts/data.py", "data=folder", b"data.root=/caf\xe9"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
    )
    assert done.returncode == 1
    assert done.stderr == b"error: data.root=/caf\\xe9: not UTF-8: rename the file or folder\n"


def test_any_other_name_that_is_not_utf8_is_one_line():
    with pytest.raises(SystemExit, match=r"^error: /a/caf\\xe9: not UTF-8: rename the file or folder$"):
        run(lambda: "/a/caf\udce9".encode())


def test_a_file_that_cannot_be_renamed_is_named_by_its_new_name(tmp_path):
    (tmp_path / "made.csv").mkdir()
    with pytest.raises(SystemExit, match=r"^error: \S*/made.csv: Is a directory$"):
        run(lambda: write_whole(tmp_path / "made.csv", "x"))


@pytest.mark.parametrize("text", ["/é", "/caf\udce9"])
def test_a_terminal_without_a_character_is_no_error(monkeypatch, text):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(logging, "raiseExceptions", True)

    def say():
        print(text)
        logging.StreamHandler(sys.stdout).emit(logging.makeLogRecord({"msg": text}))

    run(say)
    out.flush()
    assert out.buffer.getvalue().count(b"\\") == 2


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "a.csv"),
            "a.csv: No space left on device: free some space: ",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "a.csv"), "a.csv: Disk quota exceeded: free some space: "),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device: free some space: "),
        (OSError(errno.EACCES, "Permission denied", "a.csv"), "a.csv: Permission denied"),
    ],
)
def test_an_error_of_the_system_names_the_file_and_what_is_kept(monkeypatch, error, message):
    def main():
        raise error

    monkeypatch.setattr(sys, "argv", ["script.py"])
    with pytest.raises(SystemExit) as end:
        run(main)
    kept = "completed work is kept, and the same command resumes there"
    assert str(end.value) == f"error: {message}" + kept * message.endswith(": ")


TABLES = "figure5, later, modern, supervision, table5_baselines"


@pytest.mark.parametrize(
    ("script", "word", "message"),
    [
        (
            "evaluate",
            "experiment=table5_lin",
            f"experiment=table5_lin: an experiment of `make train`: expected one of {TABLES}",
        ),
        (
            "evaluate",
            "experiment=paper_mini",
            f"experiment=paper_mini: an experiment of `make paper`: expected one of {TABLES}",
        ),
        ("evaluate", "experiment=figure", f"experiment=figure: expected one of {TABLES}: did you mean figure5?"),
        (
            "train",
            "experiment=modern",
            "experiment=modern: an experiment of `make eval-tables`: expected one of table5_lin, ",
        ),
        (
            "train",
            "experiment=lin",
            "experiment=lin: expected one of table5_lin, table5_scratch, table5_tune: did you mean table5_lin",
        ),
        (
            "paper",
            "experiment=table5_lin",
            "experiment=table5_lin: an experiment of `make train`: expected one of paper_mini",
        ),
        (
            "report",
            "experiment=demo",
            "experiment=demo: an experiment of `make demo`: `make report` has no experiments",
        ),
        (
            "train",
            "+experiment=table5_lin",
            "+experiment=table5_lin: experiment has a value already: leave out the +: exp",
        ),
        ("evaluate", "+data=mini", "+data=mini: data has a value already: leave out the +: data=mini"),
        ("report", "metric=ssim", "metric: this command has no such setting"),
        ("evaluate", "paper=[later]", "paper: expected one value: paper=VALUE"),
    ],
)
def test_a_choice_of_another_command_is_named_with_those_of_this_one(monkeypatch, script, word, message):
    monkeypatch.setattr(sys, "argv", [f"scripts/{script}.py", word])
    schema = {"evaluate": EvaluateConfig, "train": TrainConfig, "paper": PaperConfig, "report": ReportConfig}[script]
    with pytest.raises(SystemExit) as end:
        run(lambda: parse(settings(script, word), schema))
    assert str(end.value).startswith(f"error: {message}")


def test_each_experiment_is_of_the_command_in_its_comments():
    text = (ROOT / "Makefile").read_text()
    for file in (CONFIGS / "experiment").glob("*.yaml"):
        assert re.search(rf"^{_command_of(file.stem)}:", text, re.MULTILINE), file


@pytest.mark.parametrize(("code", "shown"), [(errno.ENOSPC, False), (errno.EACCES, True)])
def test_a_thread_that_fails_on_a_full_disk_shows_no_traceback(monkeypatch, capsys, code, shown):
    def fails():
        raise OSError(code, "reason of the system")

    def main():
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()

    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    run(main)
    assert ("reason of the system" in capsys.readouterr().err) == shown
