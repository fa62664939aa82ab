"""Training and pretraining share packages below them, and know nothing of each other."""

import re

import pytest

from tests.compose import CONFIGS

PACKAGE = CONFIGS.parent / "lpips_repro"


@pytest.mark.parametrize(
    ("package", "above"),
    [
        ("training", ("pretraining",)),
        ("pretraining", ("training",)),
        ("runs", ("training", "pretraining", "features", "evaluation")),
        ("features", ("training", "pretraining", "evaluation", "runs")),
    ],
)
def test_a_package_imports_nothing_from_its_neighbors_and_from_those_above(package, above):
    files = sorted((PACKAGE / package).glob("*.py"))
    assert files
    pattern = re.compile(rf"^\s*(?:from|import) lpips_repro\.({'|'.join(above)})\b", re.MULTILINE)
    assert [file.name for file in files if pattern.search(file.read_text())] == []
