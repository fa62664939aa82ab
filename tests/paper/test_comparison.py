import csv

import pytest

from lpips_repro.evaluation.tables.table import Row
from lpips_repro.paper.comparison import Cell, compare, paper_key, write_cells
from tests.compose import CONFIGS

REFERENCE_FOLDER = CONFIGS.parent / "experiments/reference"
NAMES = {"l2-rgb": "l2", "l2-lab": "l2", "alex": "alex", "human": "human"}


def cell(ours, interval=None, **more):
    return Cell("Table 5", "alex lin", "all", 69.8, "alex-lin-v0.0", ours, interval, **more)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (cell(70.0, (69.5, 70.5)), "inside the interval"),
        (cell(70.0, (69.85, 70.5)), "inside the interval"),  # 69.75 to 69.85 are rounded to 69.8
        (cell(70.0, (69.86, 70.5)), "within 0.5"),
        (cell(70.3), "within 0.5"),
        (cell(69.3), "within 0.5"),
        (cell(70.31, (70.0, 70.6)), "outside"),
        (cell(None, note="no weights"), "not run"),
        (cell(69.8, (69.5, 70.5), simulated=True), "not comparable: simulated"),
        (Cell("Table 4", "AlexNet-like", "rho", 0.928, "x", 0.93), "within 0.5"),
        (Cell("Table 4", "AlexNet-like", "rho", 0.928, "x", 0.94), "outside"),
    ],
)
def test_verdict_of_a_cell(found, verdict):
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (Row("low-level", "l2-lab"), ("l2", "")),
        (Row("supervised", "alex", "off_the_shelf", "0.0"), ("alex", "off-the-shelf")),
        (Row("random", "alex-gaussian", "off_the_shelf", "0.0"), ("alex-gaussian", "")),
        (Row("lpips", "alex", "tune", "0.0"), ("alex", "tune")),
    ],
)
def test_rows_have_the_keys_of_the_published_tables(row, key):
    assert paper_key(row, NAMES) == key


def table(folder, observers="human"):
    """A 2AFC table with one row that the paper has, in both versions."""
    columns = ["traditional", "traditional_lo", "traditional_hi"]
    keys = ["label", "group", "method", "variant", "version", "supervision", "origin", "seed", "run"]
    folder.mkdir()
    with (folder / "twoafc.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*keys, *columns, "observers", "settings", "note"])
        for version, score in (("0.0", 73.95), ("0.1", 70.0)):
            label = f"alex-lin-v{version}"
            row = [label, "lpips", "alex", "lin", version, "supervised", "", "", "", score, score - 1, score + 1]
            writer.writerow([*row, observers, "{}", ""])
        hdr_vdp = ["hdr-vdp", "low-level", "hdr-vdp", "", "", "", "", "", "", "", "", ""]
        writer.writerow([*hdr_vdp, observers, "{}", "not run: MATLAB code"])


def cells_of(folder, tmp_path):
    return compare(folder, tmp_path / "none", REFERENCE_FOLDER, NAMES, "0.0")


def test_every_published_figure_has_a_cell_with_ours(tmp_path):
    table(tmp_path / "tables")
    cells = cells_of(tmp_path / "tables", tmp_path)
    found = {(c.row, c.column): c for c in cells if c.where == "2AFC score"}
    with (REFERENCE_FOLDER / "paper_2afc.csv").open(newline="") as file:
        published = list(csv.DictReader(file))
    columns = [name for name in published[0] if name not in ("group", "method", "variant")]
    assert len(found) == len(published) * len(columns)
    for line in published:
        name = " ".join(filter(None, (line["method"], line["variant"])))
        for column in columns:
            assert found[name, column].paper == float(line[column])
    alex = found["alex lin", "traditional"]
    assert (alex.paper, alex.ours, alex.interval, alex.verdict) == (73.9, 73.95, (72.95, 74.95), "inside the interval")
    assert alex.label == "alex-lin-v0.0"  # not 0.1
    assert found["alex lin", "cnn"].verdict == "not run"
    assert found["hdr-vdp", "all"].note == "not run: MATLAB code"
    assert found["vgg tune", "all"].note == "no such row in the table"


def test_figures_of_simulated_judgments_are_not_compared(tmp_path):
    table(tmp_path / "tables", observers="simulated")
    (alex,) = (c for c in cells_of(tmp_path / "tables", tmp_path) if c.ours is not None)
    assert alex.verdict == "not comparable: simulated"


def test_every_figure_is_not_run_if_there_are_no_tables(tmp_path):
    cells = cells_of(tmp_path / "missing", tmp_path)
    assert {c.verdict for c in cells} == {"not run"}
    assert all(c.note for c in cells)


def test_shares_of_zero_weights_are_compared_layer_by_layer(tmp_path):
    (tmp_path / "zeros").mkdir()
    (tmp_path / "zeros/sparsity.csv").write_text(
        "label,source,layer1,layer2,layer3,layer4,layer5,all,note\n"
        'alex lin,"paper, Figure 10",79.7,71.4,56.8,46.5,27.7,,\n'
        "alex lin v0.0,official,79.7,71.4,56.8,46.5,27.7,51.7,\n"
        "alex lin v0.1,official,81.2,69.8,56.5,37.9,22.3,48.4,\n"
        'alex lin v0.0,"trained here on mini (SIMULATED judgments), seed 0, run",1.0,2.0,3.0,4.0,5.0,3.0,\n'
    )
    cells = compare(tmp_path / "none", tmp_path / "zeros", REFERENCE_FOLDER, NAMES, "0.0")
    found = [c for c in cells if c.where.startswith("Figure 10") and c.column == "conv5"]
    assert [(c.ours, c.verdict) for c in found] == [(27.7, "within 0.5"), (5.0, "not comparable: simulated")]


def test_the_correlation_is_compared_with_table_4(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/correlation.csv").write_text(
        "source,methods,number,rho,rho_lo,rho_hi,twoafc,jnd,observers,settings,note\n"
        '"paper, Figure 5",AlexNet-like,13,0.930,0.832,0.989,distortions,all,human,,\n'
        f"{tmp_path / 'tables'},AlexNet-like,6,0.9,0.85,0.95,distortions,all,human,,\n"
    )
    (found,) = (c for c in cells_of(tmp_path / "tables", tmp_path) if c.where.startswith("Table 4"))
    assert (found.paper, found.ours, found.verdict) == (0.928, 0.9, "inside the interval")


def test_all_cells_are_in_the_csv(tmp_path):
    cells = [cell(70.0, (69.5, 70.5)), cell(None, note="no weights")]
    write_cells(tmp_path / "cells.csv", cells)
    with (tmp_path / "cells.csv").open(newline="") as file:
        one, two = csv.DictReader(file)
    assert (one["paper"], one["ours"], one["low"], one["high"]) == ("69.8", "70.0", "69.5", "70.5")
    assert (one["difference"], one["verdict"]) == ("+0.2", "inside the interval")
    assert (two["ours"], two["verdict"], two["note"]) == ("", "not run", "no weights")
