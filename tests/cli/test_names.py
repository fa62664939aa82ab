"""Names of methods, and their completion in the shell."""

import subprocess
import sys

import pytest

from lpips_repro.cli.methods import find_methods
from lpips_repro.cli.names import complete_name
from lpips_repro.config.library_table import library_metrics


@pytest.mark.parametrize(
    ("begin", "wanted"),
    [
        ("ssi", ["ssim", "ssim-gaussian", "ssim-lab", "ssim-released"]),
        ("squeeze", ["squeeze"]),
        ("vgg-lin", ["vgg-lin-v0.0", "vgg-lin-v0.1"]),
        ("alex-kmeans-", ["alex-kmeans-off_the_shelf-v0.1"]),
        ("hdr", []),
        ("piq/ms", []),
        ("piq/md", ["piq/mdsi"]),
        ("torchmetrics/peak", ["torchmetrics/peak_signal_noise_ratio"]),
        ("nonsense", []),
    ],
)
def test_names_are_completed(begin, wanted):
    assert complete_name(begin) == wanted


def test_every_name_that_is_completed_is_a_method():
    names = {name for begin in ("", *(f"{net}-" for net in complete_name(""))) for name in complete_name(begin)}
    assert len(names) > 30
    assert len(find_methods(sorted(names), download=False)) > 30


def test_only_metrics_that_can_be_computed_are_suggested(command, tmp_path):
    error = command("distance", "a.png", "b.png", "-m", "hdr-vd", "-q")
    assert error.status == 2 and "fsimc" in error.err and "hdr-vdp" not in error.err
    assert "hdr-vdp" not in command("metrics").out
    refused = command("distance", "a.png", "b.png", "-m", "hdr-vdp", "-q")
    assert refused.status == 2 and "hdr-vdp: distances of another program" in refused.err


def test_the_list_has_the_metrics_of_other_libraries(command):
    listed = command("metrics").out
    for name in library_metrics():
        library, _, metric = name.partition("/")
        assert f"{library}: " in listed and metric in listed


def completed(words, shell="bash"):
    code = "import sys; sys.argv[0] = 'lpips-repro'; from lpips_repro.cli.main import main; main()"
    asked = {
        "bash": {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": words},
        "fish": {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    environment = {"_LPIPS_REPRO_COMPLETE": f"complete_{shell}", **asked}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_metrics(shell):
    ended = completed("lpips-repro dirs a b -m ssim-g", shell)
    assert "ssim-gaussian" in ended.stdout and ended.stderr == ""
    assert "piq/mdsi" in completed("lpips-repro dirs a b -m piq/md", shell).stdout


def test_the_shell_completes_commands_and_formats():
    assert completed("lpips-repro ma").stdout.split() == ["matrix", "map"]
    assert completed("lpips-repro matrix --format js").stdout.split() == ["json", "jsonl"]


def test_completion_and_help_do_not_import_pytorch_or_opencv():
    code = "import sys; import lpips_repro.cli.main; print({'torch', 'cv2'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
