import logging
import re
import sys
from pathlib import Path

import pytest

from lpips_repro.config.secrets import PublicRecord
from lpips_repro.datasets.packed import DamagedSplit
from lpips_repro.entry_point import run
from lpips_repro.errors import UserError, check_choice, check_utf8, likely_names
from lpips_repro.evaluation.tables.escape import plain
from lpips_repro.progress import Progress
from lpips_repro.runs.checkpoint import DamagedCheckpoint, check_identity

NETS = ("alex", "alex_gaussian", "resnet18", "resnet50", "squeeze", "vgg", "vit_b_16", "vit_mae", "timm/NAME")


@pytest.mark.parametrize(
    ("value", "likely"),
    [
        ("vgg16", ["vgg"]),
        ("VGG", ["vgg"]),
        ("alexnet", ["alex"]),
        ("squeezenet1_1", ["squeeze"]),
        ("resnet", ["resnet18", "resnet50"]),
        ("sqeeze", ["squeeze"]),
        ("vit", ["vit_mae", "vit_b_16"]),
        ("qqq", []),
        ("", []),
    ],
)
def test_the_likely_network_is_found(value, likely):
    assert likely_names(value, NETS) == likely


def test_the_likely_variant_is_found():
    assert likely_names("linear", ("lin", "off_the_shelf", "scratch", "tune")) == ["lin"]


def test_a_wrong_choice_names_all_and_the_likely_one():
    with pytest.raises(UserError, match=r"^net='vgg16': expected one of alex, vgg: did you mean vgg\?$"):
        check_choice("net", "vgg16", ("alex", "vgg"))
    with pytest.raises(UserError, match=r"^net='qq': expected one of alex, vgg$"):
        check_choice("net", "qq", ("alex", "vgg"))


@pytest.mark.parametrize("value", [False, None, 0.1, 2])
def test_a_choice_that_is_not_a_string_is_refused(value):
    with pytest.raises(UserError, match=rf"^net={value}: expected one of alex, vgg$"):
        check_choice("net", value, ("alex", "vgg"))


def test_bytes_of_a_name_that_is_not_utf8_are_escaped():
    check_utf8("/é")
    with pytest.raises(UserError, match=f"^{re.escape('/a/caf')}.xe9: not UTF-8: rename the file or folder$"):
        check_utf8("/a/caf\udce9")


NAME = "a\nb\x1b[31m.png"
SHOWN = r"a\nb\x1b[31m.png"


@pytest.mark.parametrize(
    "error",
    [
        UserError(f"{NAME}: not a readable image"),
        DamagedSplit(f"{NAME}", "not a readable image"),
        DamagedCheckpoint(f"{NAME}: not a readable image"),
    ],
)
def test_an_error_is_one_line_whatever_a_file_is_called(error):
    assert str(error) == f"{error}" == f"{SHOWN}: not a readable image"


def test_only_the_differences_of_another_run_are_lines_of_their_own():
    with pytest.raises(UserError) as found:
        check_identity(Path(NAME), {"data.root": NAME}, {"data.root": "b"})
    first, difference, _ = str(found.value).split("\n")
    assert first == f"{SHOWN}: not the run that was started there:"
    assert difference == f"  data.root: was {SHOWN}, is b"


@pytest.mark.parametrize("argument", [NAME, Path(NAME), UserError(NAME)])
def test_a_log_line_is_one_line_whatever_a_file_is_called(argument):
    record = PublicRecord("lpips_repro.x", logging.INFO, "x.py", 1, "%s: %d images", (argument, 3), None)
    assert record.getMessage() == record.getMessage() == f"{SHOWN}: 3 images"
    other = PublicRecord("other", logging.INFO, "x.py", 1, "%s", ("a\nb",), None)
    assert other.getMessage() == "a\nb"


def test_other_lines_with_names_are_one_line_too(monkeypatch):
    def fails():
        raise FileNotFoundError(2, "No such file or directory", NAME)

    monkeypatch.setattr(sys, "argv", ["script.py"])
    with pytest.raises(SystemExit) as end:
        run(fails)
    assert str(end.value) == f"error: {SHOWN}: No such file or directory"
    assert plain("a\x1b[31m \n b") == r"a\x1b[31m b"


def test_the_name_of_progress_is_one_line(capsys):
    with Progress(desc=f"judging {NAME}", total=1, file=sys.stdout) as bar:
        assert bar.desc.startswith(f"judging {SHOWN}")
