"""The word list of CONTRIBUTING.md holds in the manual."""

import re
import subprocess
import sys

import pytest

from tests.compose import CONFIGS

ROOT = CONFIGS.parent
PROSE = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "Makefile", "data/README.md")),
    *(file for folder in ("docs",) for kind in ("md", "ipynb") for file in (ROOT / folder).rglob(f"*.{kind}")),
]


def phrases() -> list[str]:
    rows = re.findall(r"^\| (.+) \| .+ \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    return [phrase for row in rows if row not in ("not", "---") for phrase in row.split(", ")]


@pytest.mark.parametrize("phrase", phrases())
def test_no_page_has_a_phrase_of_the_word_list(phrase):
    words = re.compile(rf"\b{phrase}\b".replace(" ", r"\s+"), re.IGNORECASE)
    texts = {file.name: re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL) for file in PROSE}  # no output
    found = [name for name, text in texts.items() if words.search(text)]
    assert found == []


@pytest.mark.parametrize(("text", "message"), [("a" + "new", "==> again"), ("organ" + "ised", "==> organized")])
def test_words_of_the_list_and_british_spellings_fail_the_check(text, message, tmp_path):
    pytest.importorskip("codespell_lib", reason="codespell is a tool: not among the oldest versions")
    (tmp_path / "page.md").write_text(f"It is {text}.\n")
    spelling = [sys.executable, "-m", "codespell_lib", str(tmp_path / "page.md")]
    done = subprocess.run(spelling, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and message in done.stdout
