"""The report: figures of all tables, distances and runs that exist."""

import csv
import json
import logging
import shutil
import sys

import numpy as np
import pytest

from lpips_repro.config import ReportConfig, parse
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.run import evaluate
from lpips_repro.report.all_pairs import write_all_pairs
from lpips_repro.report.figure_inputs import Inputs
from lpips_repro.report.figures import read_scores
from lpips_repro.report.figures.style import FORMATS
from lpips_repro.report.run import write_report
from lpips_repro.report.stored_distances import distances_of, warn_of_left_out
from tests.compose import settings
from tests.datasets.folders import make_split
from tests.makefile import script
from tests.report.figures.test_curves import make_run

OF_TABLES = {"2afc", "2afc-splits", "jnd-2afc"}
OF_DISTANCES = {"unanimity", "binomial-fit", "disagreements", "pairs-2afc", "pairs-jnd"}
ALWAYS = {"jnd-2afc-paper", "lin-alex-v0.0", "lin-alex-v0.1"}


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Figures are drawn, but their files have only their names: `tests/report/figures` test the content."""

    def save(figure, folder, name):
        figure.draw_without_rendering()
        for suffix in FORMATS:
            (folder / f"{name}.{suffix}").write_text(name)

    monkeypatch.setattr("lpips_repro.report.run.save_figure", save)


def where(tmp_path):
    return ("data=folder", f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", f"experiments={tmp_path}/e")


def report(tmp_path, *overrides):
    """Write a report; returns the figures that were made, and the reasons for the others."""
    write_report(settings("report", *where(tmp_path), "net=[alex]", "download=false", "report.maps=0", *overrides))
    figures = tmp_path / "e/report-folder/figures"
    record = json.loads((figures / "figures.json").read_text())
    files = {f"{name}.{suffix}" for name in record["made"] for suffix in FORMATS}
    assert {file.name for file in figures.iterdir()} == files | {"figures.json"}
    return set(record["made"]), record["left out"]


def tables(tmp_path, *overrides):
    small = (
        "metric=[l2_rgb,ssim]",
        "net=[alex_gaussian]",
        "variant.off_the_shelf.versions=['0.1']",
        "device=cpu",
        "bootstrap=20",
        "data.workers=1",
        *overrides,
    )
    evaluate(settings("evaluate", *where(tmp_path), *small))


@pytest.fixture
def data(tmp_path):
    make_split(tmp_path / "data", split="mine", count=12)
    make_split(tmp_path / "data", split="yours", count=9, seed=1)
    make_split(tmp_path / "data", kind="jnd", split="cnn", count=6)
    return tmp_path


def test_all_figures_of_tables_distances_and_runs_are_drawn(data, capsys):
    tables(data)
    make_run(data / "e/folder-alex-lin-v0.1-seed0", 1, 0.6)
    capsys.readouterr()
    made, left_out = report(data)
    assert made == OF_TABLES | OF_DISTANCES | ALWAYS | {"training"}
    assert left_out == {}
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(made) + 4  # and lines on the pairs, the number of figures, the images and the page
    folder = data / "e/report-folder"
    assert f"2AFC scores (paper, Figure 4): {folder}/figures/2afc.{{png,svg,pdf}}" in printed
    assert (folder / "config.yaml").is_file() and (folder / "run.json").is_file()


def test_the_page_has_the_figures_the_reasons_and_the_tables(data, capsys):
    tables(data)
    made, left_out = report(data, "report.maps=2")
    index = data / "e/report-folder/index.html"
    printed = capsys.readouterr().out
    with pytest.raises(UserError, match=r"report\.examples=mine/99: expected an index from 0 to 11"):
        report(data, "name=other", "report.examples=[mine/99]")
    assert not (data / "e/other/figures/figures.json").exists()  # the error comes before the figures
    assert f"the page: {index}" in printed and "images: all: 21 of 21 examples, about " in printed
    text = index.read_text()
    assert all(f'src="figures/{name}.svg"' in text for name in made)
    assert all(name in text for name in left_out)
    assert text.count('<table class="scores"') == 3  # 2AFC, its likelihood, JND
    (settings_file,) = index.parent.glob("page-*/page.js")
    assert '"mapsShown":"alex-gaussian off the shelf v0.1"' in settings_file.read_text()


def test_the_page_is_left_out_with_the_reason_if_its_packages_are_missing(data, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    made, _ = report(data)
    assert made == ALWAYS
    assert "left out: the page: jinja2, which renders the page, is not installed: " in capsys.readouterr().out


def test_figures_that_cannot_be_drawn_are_left_out_with_the_reason_and_earlier_ones_are_removed(data, capsys):
    tables(data)
    report(data)
    pairs = [data / f"e/report-folder/{name}.csv" for name in ("all_pairs", "ranks")]
    assert all(file.is_file() for file in pairs)
    shutil.rmtree(data / "e/tables-folder")
    own = data / "e/report-folder/figures"
    made, left_out = report(data)
    assert not any(file.exists() for file in pairs)
    assert made == ALWAYS
    assert left_out.keys() == OF_TABLES | OF_DISTANCES | {"training"}
    assert "scores.csv: no such file: run `make eval-tables` first" in left_out["2afc"]
    assert left_out["training"] == "no training run has logged anything"
    assert "left out: training curves: no training run has logged anything" in capsys.readouterr().out
    (own / "mine.png").touch()
    (own / "mine.png").write_text("a file of the user")
    with pytest.raises(AssertionError):
        report(data)
    assert (own / "mine.png").is_file()


def test_distances_of_other_data_are_not_drawn_next_to_tables(data):
    tables(data)
    shutil.rmtree(data / "data")
    make_split(data / "data", split="mine", count=12, seed=5)
    shutil.rmtree(data / "packed")
    made, left_out = report(data)
    assert made >= OF_TABLES
    reason = "its tables are of another 2afc/val/mine than the packed one"
    assert all(reason in left_out[name] for name in OF_DISTANCES)


def test_stored_distances_of_rows_give_their_scores(data):
    tables(data)
    (precomputed := data / "precomputed").mkdir()
    cfg = parse(settings("report", *where(data)), ReportConfig)
    splits = [split for split in dataset_of(cfg.data).find(["val"]) if split.card["kind"] == "2afc"]
    rng = np.random.default_rng(0)
    for split in splits:
        lines = [f"{k},{rng.uniform()},{rng.uniform()}" for k in range(len(split))]
        (precomputed / f"{split.name.replace('/', '-')}.csv").write_text("\n".join(["index,d0,d1", *lines]) + "\n")
    tables(data, f"metric.hdr-vdp.distances={precomputed}", "metric=[l2_rgb,ssim,hdr_vdp]")
    for row in read_scores(data / "e/tables-folder").methods("2afc"):
        found = distances_of(row, splits, data / "e")
        for split in splits:
            score = 100 * TWOAFC.score(found[split.name], split.votes)
            assert score == pytest.approx(row.scores[split.card["split"]], abs=0.0051)


def differences(file):
    """The lines of a file of differences, by kind, column and the two rows."""
    with file.open(newline="") as lines:
        return {
            (one["kind"], one["split"], frozenset((one["label"], one["baseline"]))): one
            for one in csv.DictReader(lines)
        }


def test_all_pairs_have_the_differences_of_the_tables_also_for_several_seeds(data):
    tables(data, "+net.alex-gaussian.seeds=[0,1]")
    cfg = parse(settings("report", *where(data), "net=[]"), ReportConfig)
    file, _ = write_all_pairs(data / "e/report", Inputs(cfg).pairs)
    found = differences(file)
    wanted = differences(data / "e/tables-folder/differences.csv")
    methods = ("l2-rgb", "ssim", "alex-gaussian-off_the_shelf-v0.1")
    wanted = {key: one for key, one in wanted.items() if key[2] <= {*methods}}
    assert len(wanted) == 2 * 3 * 2 + 2 * 2  # two pairs with the best row; 2AFC in two protocols, and JND
    for key, one in wanted.items():
        assert abs(float(one["difference"])) == abs(float(found[key]["difference"]))
        assert float(one["p"]) == pytest.approx(float(found[key]["p"]), rel=2e-3)
    assert len(found) == 3 * len(wanted) / 2


def test_rows_without_stored_distances_are_left_out_with_a_warning(data, caplog):
    caplog.set_level(logging.WARNING)
    tables(data)
    for file in (data / "e/distances").rglob("ssim-*"):
        file.unlink()
    made, _ = report(data)
    assert made >= OF_DISTANCES
    assert "ssim: the distances on 2afc/val/mine are not in" in caplog.text


def test_rows_left_out_for_one_reason_are_one_warning(caplog):
    warn_of_left_out({"a": "a: no file", "b": "b: other scores", "c": "c: no file"})
    assert [record.message for record in caplog.records] == ["a, c: no file", "b: other scores"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tables=../x", "tables=../x: expected letters, digits"),
        ("name=", "name=: expected letters, digits"),
        ("version='0.2'", "version='0.2': expected one of 0.0, 0.1"),
        ("versions=['0.2']", "versions='0.2': expected one of 0.0, 0.1"),
        ("+tablez=x", "tablez: unknown setting: expected one of data, net, tables, name"),
    ],
)
def test_an_invalid_setting_is_an_error(tmp_path, override, message):
    with pytest.raises(UserError, match=message):
        write_report(settings("report", *where(tmp_path), override))


def test_nothing_to_draw_is_an_error_with_the_remedy(tmp_path):
    with pytest.raises(UserError, match="no figure can be made: run `make eval-tables` or `make train` first"):
        report(tmp_path, "net=[]", f"reference={tmp_path}")


def test_make_passes_the_data():
    assert script("report", "DATA=mini") == ["scripts/report.py", "data=mini"]
    cfg = parse(settings("report", "data=mini"), ReportConfig)
    assert (cfg.tables, cfg.name) == ("tables-mini", "report-mini")
