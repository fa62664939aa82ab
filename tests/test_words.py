"""The manual and the code have no phrases of the list in CONTRIBUTING.md."""

import functools
import re
import subprocess
import sys

import pytest

from tests.compose import CONFIGS

ROOT = CONFIGS.parent
NAMES = ("README.md", "CHANGELOG.md", "Makefile", "data/README.md", "pyproject.toml", "mkdocs.yml")
FOLDERS = ("docs", "lpips_repro", "configs", "scripts", "examples", "tests", ".ci", ".github")
KINDS = (".md", ".ipynb", ".py", ".yaml", ".yml", ".js", ".html", ".css")
FILES = [
    *(ROOT / name for name in NAMES),
    *(file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*")) if file.suffix in KINDS),
]


def phrases() -> list[str]:
    rows = re.findall(r"^\| (.+) \| .+ \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    return [phrase for row in rows if row not in ("not", "---") for phrase in row.split(", ")]


@functools.cache
def texts() -> dict[str, str]:
    """The text of each file in one line: without comment signs and, in the manual, without blocks of output."""
    found = {}
    for file in FILES:
        text = file.read_text()
        if file.suffix == ".md":
            text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        found[str(file.relative_to(ROOT))] = re.sub(r"[\s#*/]+", " ", text)
    return found


@pytest.mark.parametrize("phrase", phrases())
def test_no_file_has_a_phrase_of_the_word_list(phrase):
    words = re.compile(rf"\b{phrase}\b", re.IGNORECASE)
    assert [name for name, text in texts().items() if words.search(text)] == []


@pytest.mark.parametrize(("text", "message"), [("a" + "new", "==> again"), ("organ" + "ised", "==> organized")])
def test_words_of_the_list_and_british_spellings_fail_the_check(text, message, tmp_path):
    pytest.importorskip("codespell_lib", reason="codespell is a tool: not among the oldest versions")
    (tmp_path / "page.md").write_text(f"It is {text}.\n")
    spelling = [sys.executable, "-m", "codespell_lib", str(tmp_path / "page.md")]
    done = subprocess.run(spelling, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and message in done.stdout
