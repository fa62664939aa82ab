"""The figures in docs/figures are those that the command draws."""

import re

import pytest

from lpips_repro.report.docs_figures import write_docs_figures
from tests.compose import CONFIGS
from tests.report.figures.tables import paths_of, scale_of

ROOT = CONFIGS.parent
COMMITTED = ROOT / "docs/figures"
LARGEST = 150_000  # bytes
OF_REAL_JUDGMENTS = {"real-judgments.svg", "real-judgments-pairs.svg"}
TRADITIONAL = {"alex-scratch": 77.48, "st-lpips-alex": 75.49, "st-lpips-vgg": 78.83}
APART = ("0.33", "0.54", "0.21")  # differences of the means 70.04, 69.83 and 70.37


def make(folder, shared, monkeypatch, judgments):
    """Draw the figures; returns the files by name."""
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(shared / "weights"))
    return {file.name: file for file in write_docs_figures(folder, ROOT / "experiments/reference", judgments)}


def texts(file):
    return re.findall(r"<text[^>]*>([^<]*)</text>", file.read_text())


def test_the_command_draws_them_with_the_published_correlation_and_shares_of_zeros(
    tmp_path, capsys, shared, monkeypatch
):
    made = make(tmp_path, shared, monkeypatch, tmp_path / "none")
    assert {*made} == {file.name for file in COMMITTED.iterdir()} - OF_REAL_JUDGMENTS
    for name, file in made.items():
        assert texts(file) == texts(COMMITTED / name)
    assert any("0.930" in text for text in texts(made["figure5.svg"]))
    shown = " ".join(texts(made["figure10-alex.svg"]))
    for share in (79.7, 71.4, 56.8, 46.5, 27.7):
        assert f"{share} % zero" in shown and f"paper {share} %" in shown
    assert "left out: real-judgments: " in capsys.readouterr().out


def test_they_are_small():
    sizes = {file.name: file.stat().st_size for file in COMMITTED.iterdir()}
    assert {name for name, size in sizes.items() if size > LARGEST} == set()
    assert sizes.keys() > OF_REAL_JUDGMENTS


@pytest.mark.slow
def test_figures_of_real_judgments_have_the_known_scores_and_differences(tmp_path, shared, monkeypatch):
    made = make(tmp_path, shared, monkeypatch, shared)
    for name in OF_REAL_JUDGMENTS:
        assert texts(made[name]) == texts(COMMITTED / name)
    shapes, (unit, zero) = paths_of(made["real-judgments.svg"]), scale_of(made["real-judgments.svg"], 0)
    assert len(shapes) == 6 * len(TRADITIONAL)
    for label, score in TRADITIONAL.items():
        assert max(zero + unit * x for x, _ in shapes[f"traditional/{label}"]) == pytest.approx(score, abs=0.01)
    assert {*APART} <= {*texts(made["real-judgments-pairs.svg"])}
