"""The correlation over the methods of tables, and the paper's."""

import csv

import pytest
import scipy.stats

from lpips_repro.config import CorrelationConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.run import evaluate
from lpips_repro.evaluation.tables.paper_figures import read_figure5
from lpips_repro.evaluation.tables.table import Row, Table
from lpips_repro.evaluation.tables.writer import write_tables
from lpips_repro.report.correlation import draw_methods, write_correlation
from lpips_repro.report.figures.task_scatter import is_alexnet_like
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split
from tests.makefile import script_of_line

REFERENCE = CONFIGS.parent / "experiments/reference"
# Method, variant, version, 2AFC and JND.
SCORES = [
    ("ssim", "", "", 70.0, 50.5),
    ("alex-gaussian", "off_the_shelf", "0.0", 69.0, 46.0),
    ("alex-kmeans", "off_the_shelf", "0.1", 74.0, 52.0),
    ("alex", "off_the_shelf", "0.0", 76.0, 54.0),
    ("alex", "off_the_shelf", "0.1", 77.0, 49.0),
    ("alex", "lin", "0.0", 78.0, 59.0),
]


@pytest.fixture(autouse=True)
def quickly(request, monkeypatch):
    """Figures are drawn, but not written, except in tests of the files."""
    if "figure_has" not in request.node.name:
        monkeypatch.setattr("lpips_repro.report.correlation.save_figure", lambda figure, *_: [])


def rows_of(kind, observers, scores=SCORES):
    """Rows of the methods, of the observers, and of a network without weights."""
    rows = [Row("observers", observers, scores={"all": 80.0})] if kind is TWOAFC else []
    for method, variant, version, twoafc, jnd in scores:
        group = "lpips" if variant == "lin" else "supervised" if variant else "low-level"
        found = {"traditional": 1.0, "distortions": twoafc, "all": 100 - twoafc} if kind is TWOAFC else {"all": jnd}
        rows.append(Row(group, method, variant, version, scores=found))
    rows.append(Row("supervised", "vgg", "off_the_shelf", "0.0", note="not run: no weights of vgg available"))
    for row in rows:
        row.observers, row.interval = observers, {column: (1, 99) for column in row.scores}
    return rows


def make_tables(tmp_path, observers="human", jnd=SCORES, columns=("traditional", "distortions", "all")):
    tables = [
        Table(protocol, rows_of(protocol, observers, of), of_columns, dict.fromkeys(of_columns, 9), "Judgments.")
        for protocol, of, of_columns in ((TWOAFC, SCORES, columns), (JND, jnd, ("all",)))
    ]
    write_tables(tmp_path / "tables-mine", tables)


def run(tmp_path, *overrides):
    """Compute the correlation; returns the lines of the table by source and methods."""
    where = ("name=tables-mine", f"experiments={tmp_path}", f"reference={REFERENCE}")
    write_correlation(settings("correlation", *where, "bootstrap=200", *overrides))
    with (tmp_path / "tables-mine/correlation.csv").open(newline="") as file:
        return {(line["source"], line["methods"]): line for line in csv.DictReader(file)}


def here(lines, methods):
    (line,) = (line for (source, which), line in lines.items() if "tables-mine" in source and which == methods)
    return line


def rho(*labels, column=3):
    """The value of scipy over some rows of SCORES, given by index."""
    chosen = [SCORES[place] for place in labels]
    return f"{scipy.stats.pearsonr([row[column] for row in chosen], [row[4] for row in chosen]).statistic:.3f}"


def test_each_network_counts_in_one_version_and_alexnets_off_the_shelf_have_their_own_line(tmp_path):
    make_tables(tmp_path)
    lines = run(tmp_path)
    assert (here(lines, "all")["number"], here(lines, "all")["rho"]) == ("5", rho(0, 1, 2, 3, 5))
    alexnets = here(lines, "AlexNet-like")
    assert (alexnets["number"], alexnets["rho"]) == ("3", rho(1, 2, 3))
    assert alexnets["2afc"] == "distortions"
    assert alexnets["settings"] == "version=0.0 bootstrap=200 seed=0"
    assert -1 <= float(alexnets["rho_lo"]) <= float(alexnets["rho"]) <= float(alexnets["rho_hi"]) <= 1


def test_the_setting_chooses_the_version(tmp_path):
    make_tables(tmp_path)
    assert here(run(tmp_path, "version='0.1'"), "all")["rho"] == rho(0, 1, 2, 4, 5)


def test_the_papers_figures_are_in_the_table(tmp_path, capsys):
    make_tables(tmp_path)
    lines = run(tmp_path)
    figure5 = lines["paper, Figure 5", "AlexNet-like"]
    assert (figure5["number"], figure5["rho"]) == ("13", "0.930")
    assert (lines["paper, Figure 5", "all"]["number"], lines["paper, Figure 5", "all"]["rho"]) == ("22", "0.956")
    assert lines["paper, Table 4", "AlexNet-like"]["rho"] == "0.928"
    assert capsys.readouterr().out.count("0.930") == 1


def test_alexnet_like_methods_are_those_of_figure_5():
    for row in read_figure5(REFERENCE):
        variant = "lin" if row["method"].endswith("-lin") else "off_the_shelf" * (row["group"] != "low-level")
        ours = Row(row["group"], row["method"].removesuffix("-lin"), variant)
        assert is_alexnet_like(ours) == (row["alexnet_like"] == "1"), row["method"]


def test_rows_without_both_scores_are_left_out_and_named(tmp_path, capsys):
    make_tables(tmp_path, jnd=SCORES[1:])
    assert here(run(tmp_path), "all")["number"] == "4"
    printed = capsys.readouterr().out
    assert "- vgg off the shelf v0.0: not run: no weights of vgg available" in printed
    assert "- ssim: left out: has no row in jnd.csv" in printed
    assert "- human" not in printed


def test_the_mean_over_all_is_used_if_the_papers_splits_are_missing(tmp_path):
    make_tables(tmp_path, columns=("traditional", "all"))
    line = here(run(tmp_path), "all")
    assert (line["2afc"], line["rho"]) == ("all", f"{-float(rho(0, 1, 2, 3, 5)):.3f}")


@pytest.mark.parametrize("observers", ["human", "simulated", "unknown"])
def test_every_output_names_simulated_judgments(tmp_path, capsys, monkeypatch, observers):
    titles = []
    draw = "lpips_repro.report.correlation.draw_methods"
    monkeypatch.setattr(draw, lambda figures: titles.extend(one.source for one in figures) or draw_methods(figures))
    make_tables(tmp_path, observers)
    lines = run(tmp_path)
    simulated = observers == "simulated"
    assert ["SIMULATED" in title for title in titles] == [False, simulated]
    printed = capsys.readouterr().out
    assert ("SIMULATED observers" in printed) == ("tables-mine (SIMULATED judgments)" in printed) == simulated
    assert ("human observers." in printed) == (observers == "human")
    assert here(lines, "all")["observers"] == observers
    assert ("SIMULATED" in here(lines, "all")["source"]) == simulated
    assert {line["observers"] for (source, _), line in lines.items() if "paper" in source} == {"human"}


def test_the_figure_has_the_papers_points_and_ours_side_by_side(tmp_path, capsys):
    make_tables(tmp_path)
    run(tmp_path)
    names = [f"correlation.{suffix}" for suffix in ("csv", "png", "svg", "pdf")]
    assert all((tmp_path / "tables-mine" / name).stat().st_size for name in names)
    assert f"written: {', '.join(str(tmp_path / 'tables-mine' / name) for name in names)}" in capsys.readouterr().out
    text = (tmp_path / "tables-mine/correlation.svg").read_text()
    assert text.index("paper, Figure 5") < text.index("tables-mine")
    assert all(f'id="point/{label}"' in text for label in ("alex-colorization", "alex-lin", "ssim"))


def test_too_few_alexnets_are_a_note_and_the_other_lines_are_written(tmp_path, capsys):
    make_tables(tmp_path, jnd=SCORES[:2] + SCORES[3:])
    lines = run(tmp_path)
    assert here(lines, "all")["rho"] != ""
    assert here(lines, "AlexNet-like")["rho"] == ""
    reason = "not computed: 2 methods have scores on both tasks: a correlation takes at least 3"
    assert here(lines, "AlexNet-like")["note"] == reason
    assert f"AlexNet-like: {reason}" in capsys.readouterr().out


def test_too_few_methods_are_an_error_that_names_the_folder(tmp_path):
    make_tables(tmp_path, jnd=SCORES[:2])
    with pytest.raises(UserError, match=r"tables-mine: 2 methods have scores on both tasks: a correlation takes at"):
        run(tmp_path)
    assert not (tmp_path / "tables-mine/correlation.csv").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name=absent", r"absent/twoafc.csv: no such table: run `make eval-tables` first"),
        ("name=../x", "name=../x: expected letters, digits"),
        ("version='0.2'", "version='0.2': expected one of 0.0, 0.1"),
        ("bootstrap=0", "bootstrap=0: expected an integer from 1 to 1000000"),
        ("seed=-1", "seed=-1: expected an integer of at least 0"),
        ("reference=absent", r"absent/paper_figure5.csv: No such file .* set reference=FOLDER"),
    ],
)
def test_an_invalid_setting_is_an_error(tmp_path, override, message):
    make_tables(tmp_path)
    with pytest.raises(UserError, match=message):
        run(tmp_path, override)


def test_make_uses_the_tables_of_its_data_by_default():
    def name(variables):
        words = script_of_line(f"make correlation {variables}")
        return parse(settings("correlation", *words[1:]), CorrelationConfig).name

    assert [name(variables) for variables in ("", "DATA=mini", 'DATA=mini ARGS="name=demo"')] == [
        "tables-bapps", "tables-mini", "demo"
    ]  # fmt: skip


def test_tables_that_the_evaluation_writes_are_correlated(tmp_path):
    make_split(tmp_path / "data", split="mine")
    make_split(tmp_path / "data", kind="jnd", split="cnn")
    data = ("data=folder", f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", f"experiments={tmp_path}")
    evaluate(settings("evaluate", *data, "name=tables-mine", "metric=[l2_rgb,ssim,fsimc]", "net=[]", "device=cpu"))
    tables = []
    for table in ("twoafc", "jnd"):
        with (tmp_path / f"tables-mine/{table}.csv").open(newline="") as file:
            tables.append([float(row["all"]) for row in csv.DictReader(file) if row["group"] != "observers"])
    line = here(run(tmp_path), "all")
    assert (line["number"], line["rho"]) == ("3", f"{scipy.stats.pearsonr(*tables).statistic:.3f}")


def test_the_files_appear_together_or_not_at_all(tmp_path, monkeypatch):
    make_tables(tmp_path)
    run(tmp_path)
    folder = tmp_path / "tables-mine"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lpips_repro.report.correlation.save_figure", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "seed=1")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
