"""The evaluation end to end, on small folders and on the real triplets."""

import csv
import logging

import pytest
import torch

from lpips_repro.evaluation import methods
from lpips_repro.evaluation.run import evaluate
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split

CLASSIC = ("metric=[l2_rgb,ssim]", "net=[alex_gaussian]", "bootstrap=50", "download=false", "device=cpu")
SPLITS = ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """No weights at hand, and runs that write under tmp_path."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("LPIPS_REPRO_WEIGHTS", raising=False)
    methods._backbone_state_or_error.cache_clear()


def run(tmp_path, *overrides, name="folder"):
    evaluate(
        settings(
            "evaluate",
            f"data={name}",
            f"experiments={tmp_path}/experiments",
            f"reference={CONFIGS.parent}/experiments/reference",
            f"data.root={tmp_path}/data",
            f"data.packed={tmp_path}/packed",
            *overrides,
        )
    )


def table(tmp_path, kind="twoafc", name="folder"):
    with (tmp_path / f"experiments/tables-{name}/{kind}.csv").open(newline="") as file:
        return {f"{r['method']} {r['variant']} {r['version']}".strip(): r for r in csv.DictReader(file)}


def test_both_tables_are_written_in_all_forms_with_the_record_of_the_run(tmp_path, capsys):
    make_split(tmp_path / "data", split="mine")
    make_split(tmp_path / "data", kind="jnd", split="cnn")
    run(tmp_path, *CLASSIC)
    names = {path.name for path in (tmp_path / "experiments/tables-folder").iterdir()}
    assert names >= {f"{t}.{s}" for t in ("twoafc", "jnd") for s in ("csv", "md", "tex")} | {"config.yaml", "run.json"}
    assert list(table(tmp_path)) == [
        "human", "oracle", "l2-rgb", "ssim", "alex-gaussian off_the_shelf 0.0", "alex-gaussian off_the_shelf 0.1"
    ]  # fmt: skip
    assert "human" not in table(tmp_path, "jnd")
    printed = capsys.readouterr().out
    assert "2AFC score (%)" in printed
    assert "JND mAP (%)" in printed


def test_columns_and_numbers_of_a_row(tmp_path):
    make_split(tmp_path / "data", split="mine", count=12)
    make_split(tmp_path / "data", split="cnn", count=12, seed=1)
    run(tmp_path, *CLASSIC)
    row = table(tmp_path)["l2-rgb"]
    assert list(row)[5:] == [
        *(f"{c}{e}" for c in ("cnn", "mine", "all") for e in ("", "_lo", "_hi")), "observers", "settings", "note"
    ]  # fmt: skip
    assert float(row["all"]) == pytest.approx((float(row["cnn"]) + float(row["mine"])) / 2, abs=0.01)
    for column in ("cnn", "mine", "all"):
        assert float(row[f"{column}_lo"]) <= float(row[column]) <= float(row[f"{column}_hi"])
    assert "function=l2 colorspace=rgb" in row["settings"]
    assert "resize=none (stored at 64x64)" in row["settings"]


def test_a_second_run_recomputes_nothing_and_says_so(tmp_path, caplog):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    first = table(tmp_path)
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC)
    assert "distances: all 4 there already" in caplog.text
    assert "nothing recomputed" in caplog.text
    assert table(tmp_path) == first


def test_only_what_is_missing_is_computed(tmp_path, caplog):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    next((tmp_path / "experiments/distances").rglob("ssim-*.json")).unlink()
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC)
    assert "distances: 1 computed, 3 there already" in caplog.text


def test_changed_metric_code_is_computed_again(tmp_path, caplog, monkeypatch):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    monkeypatch.setattr(methods, "code_version", lambda: "other")
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC)
    assert "distances: 4 computed, 0 there already" in caplog.text


def test_a_network_without_weights_is_reported_and_the_rest_is_made(tmp_path, capsys):
    make_split(tmp_path / "data")
    run(tmp_path, "metric=[l2_rgb]", "net=[vgg]", "bootstrap=50", "download=false")
    rows = table(tmp_path)
    assert rows["l2-rgb"]["all"] != ""
    for label in ("vgg off_the_shelf 0.0", "vgg lin 0.1"):
        assert rows[label]["all"] == ""
        assert rows[label]["note"].startswith("not run: no ImageNet weights of vgg at hand: run `make weights`")
    assert "vgg lin v0.1: not run: no ImageNet weights" in capsys.readouterr().out


def test_simulated_judgments_are_called_so_wherever_they_appear(tmp_path, capsys):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC, "data.observers=simulated")
    rows = table(tmp_path)
    assert "human" not in rows
    assert {row["observers"] for row in rows.values()} == {"simulated"}
    folder = tmp_path / "experiments/tables-folder"
    for text in (capsys.readouterr().out, *((folder / f"twoafc.{suffix}").read_text() for suffix in ("md", "tex"))):
        assert "SIMULATED observers" in text
        assert "nothing about human vision" in text
    for path in (tmp_path / "experiments/distances").rglob("*.json"):
        assert '"observers": "simulated"' in path.read_text()


def test_the_papers_figures_stand_beside_those_of_bapps_alone(tmp_path):
    for split in SPLITS:
        make_split(tmp_path / "data", split=split, count=2)
    run(tmp_path, *CLASSIC, name="bapps")
    row = table(tmp_path, name="bapps")["l2-rgb"]
    assert row["all_paper"] == "63.2"
    assert float(row["all_diff"]) == pytest.approx(float(row["all"]) - 63.2, abs=0.011)
    assert table(tmp_path, name="bapps")["human"]["traditional_paper"] == "80.8"
    run(tmp_path, *CLASSIC)
    assert "all_paper" not in table(tmp_path)["l2-rgb"]
    run(tmp_path, *CLASSIC, "data.resize=exact", name="bapps")
    assert "all_paper" not in table(tmp_path, name="bapps")["l2-rgb"]


# PAPER.md's figures of the released code on the 60 real triplets, in percent.
REAL = {
    "pil_bilinear": ("75.00", "71.67", "73.33", "61.67", "53.33"),
    "exact": ("71.67", "71.67", "76.67", "70.00", "48.33"),
}


@pytest.mark.parametrize("resize", REAL)
def test_scores_of_the_real_triplets_are_those_of_the_released_code(tmp_path, resize, shared, monkeypatch):
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(shared / "weights"))
    run(
        tmp_path,
        f"data.root={shared}/bapps_real_triplets",
        f"data.resize={resize}",
        "net=[alex,squeeze]",
        "metric=[l2_rgb]",
        "download=false",
        "bootstrap=50",
    )
    rows = table(tmp_path)
    labels = ("alex lin 0.1", "alex off_the_shelf 0.1", "squeeze lin 0.1", "squeeze off_the_shelf 0.1", "l2-rgb")
    assert tuple(rows[label]["disagreements"] for label in labels) == REAL[resize]
    assert rows["l2-rgb"]["settings"].count(f"resize={resize}") == 1
