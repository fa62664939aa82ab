"""Style and files of figures."""

import logging
import sys

import matplotlib
import pytest
from PIL import Image

from lpips_repro.report.figures import read_scores, save_figure, twoafc_bars
from tests.report.figures.tables import PAPER_SPLITS, make_rows, write


@pytest.fixture
def scores(tmp_path):
    return read_scores(write(tmp_path, make_rows(PAPER_SPLITS)))


def test_the_same_figure_gives_the_same_bytes(tmp_path, scores):
    one, other = (save_figure(twoafc_bars(scores), tmp_path, name) for name in ("one", "other"))
    assert [file.suffix for file in one] == [".png", ".svg", ".pdf"]
    for first, second in zip(one, other, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert b"CreationDate" not in one[2].read_bytes()
    assert "<dc:date>" not in one[1].read_text()


def test_the_users_settings_are_neither_used_nor_changed(tmp_path, scores, monkeypatch):
    (before,) = save_figure(twoafc_bars(scores), tmp_path, "before")[:1]
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")
    settings = dict(matplotlib.rcParams)
    (after,) = save_figure(twoafc_bars(scores), tmp_path, "after")[:1]
    assert dict(matplotlib.rcParams) == settings
    assert before.read_bytes() == after.read_bytes()


def test_figures_do_not_need_pyplot(tmp_path, scores, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # its import fails
    twoafc_bars(scores)._repr_png_()
    assert sys.modules["matplotlib.pyplot"] is None


def test_a_notebook_shows_a_figure_without_pyplot(tmp_path, scores):
    (tmp_path / "shown.png").write_bytes(twoafc_bars(scores)._repr_png_())
    with Image.open(tmp_path / "shown.png") as picture:
        assert picture.width == 7 * 150


def test_text_in_the_svg_is_text_and_the_pdf_has_no_type_3_fonts(tmp_path, scores, caplog):
    caplog.set_level(logging.INFO)
    _, svg, pdf = save_figure(twoafc_bars(scores), tmp_path, "figure")
    assert "real algorithms" in svg.read_text()
    assert b"/Type3" not in pdf.read_bytes()
    assert caplog.text == ""  # nothing on the fonts of the PDF
