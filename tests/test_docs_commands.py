"""The commands of `lpips-repro` in README and docs exist, and print the outputs and messages that the pages show."""

import ast
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

from lpips_repro.cli.main import main
from lpips_repro.cli.score import UNDEFINED
from lpips_repro.datasets.bapps.published import DIFFERENT_JUDGMENTS
from lpips_repro.datasets.commands import fetch_dataset
from lpips_repro.entry_point import KEPT, SWEEP
from lpips_repro.errors import UserError
from lpips_repro.weights.imagenet import imagenet_state
from tests.compose import settings
from tests.test_docs import PAGES, ROOT, TEXT

EXAMPLES = ("ex_ref.png", "ex_p0.png")


def commands() -> list[str]:
    return sorted(set(re.findall(r"^lpips-repro (.*)$", TEXT, re.MULTILINE)))


def shown(page: str, command: str) -> str:
    """The output that a page shows for a command: the rest of its block, or the next block."""
    _, _, rest = (ROOT / page).read_text().partition(f"\nlpips-repro {command}\n")
    return rest.removeprefix("```\n```\n").partition("```")[0]


@pytest.mark.parametrize("command", commands())
def test_every_command_and_its_options_exist(command):
    from lpips_repro.cli.app import app

    name, *words = shlex.split(command)
    known = {option for parameter in typer.main.get_command(app).commands[name].params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize(
    ("page", "command"),
    [
        ("README.md", "distance ex_ref.png ex_p0.png -m alex -m squeeze"),
        ("docs/command.md", "distance ex_ref.png ex_p0.png -m alex -m squeeze -m ssim -m psnr"),
        ("docs/command.md", "map ex_ref.png ex_p0.png -o map.png"),
    ],
)
def test_a_page_shows_the_output_of_the_command(page, command, shared: Path, imagenet, tmp_path, monkeypatch, capsys):
    for name in EXAMPLES:
        shutil.copy(shared / "examples" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["lpips-repro", *shlex.split(command)])
    with pytest.raises(SystemExit):
        main()
    printed = "".join(capsys.readouterr())
    lines = shown(page, command).split("lpips-repro")[0].splitlines()
    assert lines and all(line.strip() in printed for line in lines)


def missing_weights() -> str:
    with pytest.raises(UserError) as error:
        imagenet_state("vgg", download=False)
    return str(error.value)


def missing_dataset() -> str:
    with pytest.raises(UserError) as error:
        fetch_dataset(settings("dataset", "data=tid2013"))
    return str(error.value)


@pytest.mark.parametrize(
    ("page", "messages"),
    [
        ("docs/gpu-and-clusters.md", lambda: [missing_weights(), f"error: {SWEEP}: {KEPT}\n"]),
        ("docs/results/demo.md", lambda: [f"not run: {missing_weights()}\n"]),
        ("docs/data.md", lambda: [f"error: {missing_dataset()}\n"]),
        ("docs/data.md", lambda: [DIFFERENT_JUDGMENTS.format("2afc/val/traditional")]),
        ("docs/command.md", lambda: [f"piq/haarpsi: black.png: {UNDEFINED.format('value', 'infinite')}\n"]),
    ],
)
def test_a_page_quotes_messages_exactly(page, messages, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert all(message in (ROOT / page).read_text() for message in messages())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_that_is_not_run_has_a_reason(page):
    # Fences alternate: text, the language of a block, the block, text, ...
    before, *blocks = re.split(r"^```(.*)\n", page.read_text() + "\n", flags=re.MULTILINE)
    for language, block, _, after in zip(*[iter(blocks)] * 4, strict=True):
        reason, before = before.rstrip().rpartition("\n")[2], after
        if language:
            continue
        try:
            code = ast.parse(block).body
        except SyntaxError:
            continue
        if any(isinstance(part, ast.Assign | ast.Import | ast.ImportFrom) for part in code):
            assert reason.startswith("<!-- not run by the tests: "), block
