"""The evaluation end to end, on small folders and on the real triplets."""

import csv
import json
import logging
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from lpips_repro import provenance
from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.config.secrets import PublicRecord
from lpips_repro.datasets.bapps.prepare import COUNTS
from lpips_repro.datasets.folder import Folder
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods import published as methods
from lpips_repro.evaluation.run import evaluate
from lpips_repro.metrics import METRICS
from lpips_repro.metrics.registry import Metric
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split

CLASSIC = ("metric=[l2_rgb,ssim]", "net=[alex_gaussian]", "bootstrap=50", "download=false", "device=cpu")


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """No weights available, and runs that write under tmp_path."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("LPIPS_REPRO_WEIGHTS", raising=False)
    methods._state_or_error.cache_clear()


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
    with (tmp_path / "experiments/tables-folder/scores.csv").open(newline="") as file:
        scores = [tuple(line.values()) for line in csv.DictReader(file)]
    assert ("jnd", "ssim", "cnn", "score", table(tmp_path, "jnd")["ssim"]["cnn"]) in scores
    assert (
        "2afc",
        "alex-gaussian-off_the_shelf-v0.0",
        "all",
        "low",
        table(tmp_path)["alex-gaussian off_the_shelf 0.0"]["all_lo"],
    ) in scores
    assert ("2afc", "oracle", "all", "n", "5") in scores
    assert list(table(tmp_path)) == [
        *("unknown-observer", "oracle", "l2-rgb", "ssim"),
        *("alex-gaussian off_the_shelf 0.0", "alex-gaussian off_the_shelf 0.1"),
    ]  # fmt: skip
    assert "unknown-observer" not in table(tmp_path, "jnd")
    printed = capsys.readouterr().out
    assert "2AFC score (%)" in printed
    assert "JND mAP (%)" in printed


def test_columns_and_numbers_of_a_row(tmp_path):
    make_split(tmp_path / "data", split="mine", count=12)
    make_split(tmp_path / "data", split="cnn", count=12, seed=1)
    run(tmp_path, *CLASSIC)
    row = table(tmp_path)["l2-rgb"]
    assert list(row)[9:] == [
        *(f"{c}{e}" for c in ("cnn", "mine", "all") for e in ("", "_lo", "_hi")), "observers", "settings", "note"
    ]  # fmt: skip
    assert float(row["all"]) == pytest.approx((float(row["cnn"]) + float(row["mine"])) / 2, abs=0.01)
    for column in ("cnn", "mine", "all"):
        assert float(row[f"{column}_lo"]) <= float(row[column]) <= float(row[f"{column}_hi"])
    made = json.loads(row["settings"])
    assert (made["function"], made["settings"]) == ("l2", {"colorspace": "rgb"})
    assert (made["resize"], made["bootstrap"]) == ("none (stored at 64x64)", {"replicates": 50, "seed": 0})


def test_a_second_run_recomputes_nothing_and_says_so(tmp_path, caplog):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    first = table(tmp_path)
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC)
    assert "distances: all 4 are stored" in caplog.text
    assert "nothing computed" in caplog.text
    assert table(tmp_path) == first


def test_only_what_is_missing_is_computed(tmp_path, caplog):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    next((tmp_path / "experiments/distances").rglob("ssim-*.json")).unlink()
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC)
    assert "distances: 1 computed, 3 already stored" in caplog.text


def test_changed_metric_code_is_computed_again(tmp_path, caplog, monkeypatch):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    monkeypatch.setattr(provenance, "digest_of", lambda sources: "other")
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC)
    assert "distances: 4 computed, 0 already stored" in caplog.text


def said_of_earlier(caplog):
    return [record.getMessage() for record in caplog.records if "of an earlier version" in record.getMessage()]


def test_distances_of_an_earlier_version_are_said_once_with_what_changed(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    assert not said_of_earlier(caplog)
    before = {file: file.read_bytes() for file in (tmp_path / "experiments/distances").rglob("*-*.csv")}
    monkeypatch.setattr(provenance, "digest_of", lambda sources: "other")
    monkeypatch.setattr(provenance, "installed_version", lambda name: "0")
    run(tmp_path, *CLASSIC, "metric=[l2_rgb]")
    assert said_of_earlier(caplog) == [
        "3 stored distances of an earlier version are not used, because the code that computes them and the libraries"
        " that it uses changed: they are computed again, and the earlier files are kept in"
        f" {tmp_path}/experiments/distances"
    ]
    assert all(file.read_bytes() == content for file, content in before.items())
    caplog.clear()
    run(tmp_path, *CLASSIC, "metric=[l2_rgb]")
    assert not said_of_earlier(caplog)
    assert "nothing computed" in caplog.text


def test_distances_of_other_settings_weights_or_data_are_of_no_earlier_version(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    monkeypatch.setattr(provenance, "digest_of", lambda sources: "other")
    run(tmp_path, *CLASSIC, "metric=[]", "seed=1")  # other random weights
    run(tmp_path, *CLASSIC, "metric=[l2_rgb]", "net=[]", "metric.l2-rgb.settings.colorspace=lab")
    (tmp_path / "data").rename(tmp_path / "before")
    make_split(tmp_path / "data", seed=5)
    run(tmp_path, *CLASSIC, "net=[]")
    assert not said_of_earlier(caplog)


def test_a_network_without_weights_is_reported_and_the_rest_is_made(tmp_path, capsys):
    make_split(tmp_path / "data")
    run(tmp_path, "metric=[l2_rgb]", "net=[vgg]", "bootstrap=50", "download=false", "show=all")
    rows = table(tmp_path)
    assert rows["l2-rgb"]["all"] != ""
    for label in ("vgg off_the_shelf 0.0", "vgg lin 0.1"):
        assert rows[label]["all"] == ""
        assert rows[label]["note"].startswith("not run: no ImageNet weights of vgg on this")
    assert "vgg lin v0.1: not run: no ImageNet weights" in capsys.readouterr().out


def test_rows_without_scores_are_counted_but_not_printed_and_their_reason_is_logged_once(tmp_path, capsys, caplog):
    make_split(tmp_path / "data")
    make_split(tmp_path / "data", kind="jnd")
    run(tmp_path, "metric=[l2_rgb]", "net=[vgg]", "bootstrap=50", "download=false")
    printed, logged = capsys.readouterr().out, caplog.text
    for name in ("twoafc", "jnd", "twoafc_likelihood"):
        file = tmp_path / f"experiments/tables-folder/{name}.csv"
        assert f'\n6 rows have no scores: see the column note of {file}, or ARGS="show=all"\n' in printed
    assert "l2-rgb" in printed and "vgg" not in printed
    assert logged.count("not run: no ImageNet weights of vgg") == 1


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


def test_judgments_that_nobody_calls_human_are_not_called_so(tmp_path, capsys):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    assert {row["observers"] for row in table(tmp_path).values()} == {"unknown"}
    folder = tmp_path / "experiments/tables-folder"
    for text in (capsys.readouterr().out, *((folder / f"twoafc.{suffix}").read_text() for suffix in ("md", "tex"))):
        assert "Judgments: observers not stated" in text
        assert "human observers" not in text
    run(tmp_path, *CLASSIC, "data.observers=human")
    assert {row["observers"] for row in table(tmp_path).values()} == {"human"}
    assert "Judgments: human observers." in capsys.readouterr().out


def test_judgments_called_simulated_later_are_called_so(tmp_path):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    run(tmp_path, *CLASSIC, "data.observers=simulated")
    assert {row["observers"] for row in table(tmp_path).values()} == {"simulated"}
    assert "human" not in table(tmp_path)


def two_of_each(tmp_path, monkeypatch):
    """Two examples in each split of BAPPS, which count as the published number; the setting of the manifest."""
    for key in COUNTS:
        monkeypatch.setitem(COUNTS, key, 2 if key[:2] == ("2afc", "val") else 0)
        if key[1] == "val":
            make_split(tmp_path / "data", *key, count=2)
    return f"data.manifest={CONFIGS.parent}/experiments/reference/bapps_val_manifest.json"


def test_the_papers_figures_are_shown_for_bapps_only(tmp_path, monkeypatch):
    bapps = two_of_each(tmp_path, monkeypatch)
    run(tmp_path, *CLASSIC, bapps, name="bapps")
    row = table(tmp_path, name="bapps")["l2-rgb"]
    assert row["all_paper"] == "63.2"
    assert float(row["all_diff"]) == pytest.approx(float(row["all"]) - 63.2, abs=0.011)
    assert table(tmp_path, name="bapps")["human"]["traditional_paper"] == "80.8"
    run(tmp_path, *CLASSIC)
    assert "all_paper" not in table(tmp_path)["l2-rgb"]
    run(tmp_path, *CLASSIC, bapps, "data.resize=exact", name="bapps")
    assert "all_paper" not in table(tmp_path, name="bapps")["l2-rgb"]


def test_later_figures_are_shown_for_bapps_only(tmp_path, monkeypatch, capsys):
    bapps = two_of_each(tmp_path, monkeypatch)
    run(tmp_path, *CLASSIC, bapps, "paper=later", name="bapps")
    folder = tmp_path / "experiments/tables-bapps"
    for text in (capsys.readouterr().out, (folder / "twoafc.md").read_text(), (folder / "twoafc.tex").read_text()):
        (line,) = (line for line in text.splitlines() if "st-lpips-vgg" in line)
        assert re.findall(r"\d\d\.\d\d", line) == [
            *("78.83", "83.53", "81.18", "71.07", "61.20", "64.58", "63.03", "64.97", "70.37")
        ]  # fmt: skip
        assert "ShiftTolerant-LPIPS results" in line
        assert "later: published after the paper, by others" in text
    assert "st-lpips-vgg" not in (folder / "twoafc.csv").read_text() + (folder / "differences.csv").read_text()
    run(tmp_path, *CLASSIC, bapps, name="bapps")
    assert "st-lpips-vgg" not in capsys.readouterr().out


@pytest.mark.parametrize(("name", "resize"), [("folder", "pil_bilinear"), ("bapps", "exact")])
def test_later_figures_next_to_those_of_other_data_are_refused_at_once(tmp_path, monkeypatch, name, resize):
    monkeypatch.setattr("lpips_repro.evaluation.run.prepare", lambda *_: pytest.fail("fetched"))
    with pytest.raises(UserError, match=r"paper=later: the published figures are for BAPPS .*: leave it out"):
        run(tmp_path, *CLASSIC, "paper=later", f"data.resize={resize}", name=name)


def test_differences_are_written_with_the_tables(tmp_path, caplog):
    make_split(tmp_path / "data", split="mine", count=12)
    make_split(tmp_path / "data", kind="jnd", split="cnn", count=12)
    run(tmp_path, *CLASSIC, "baseline=ssim")
    path = tmp_path / "experiments/tables-folder/differences.csv"
    with path.open(newline="") as file:
        found = {(line["kind"], line["label"], line["split"]): line for line in csv.DictReader(file)}
    labels = {label for kind, label, _ in found if kind == "2afc"}
    assert labels == {
        *("unknown-observer", "oracle", "l2-rgb", "alex-gaussian-off_the_shelf-v0.0"),
        "alex-gaussian-off_the_shelf-v0.1",
    }
    for kind, file, split in (("2afc", "twoafc", "mine"), ("jnd", "jnd", "cnn")):
        rows, line = table(tmp_path, file), found[kind, "l2-rgb", split]
        assert float(line["difference"]) == pytest.approx(
            float(rows["l2-rgb"][split]) - float(rows["ssim"][split]), abs=0.011
        )
        assert line["baseline"] == "ssim"
        assert 0 < float(line["p"]) <= float(line["p_holm"]) <= 1
    before = path.read_bytes()
    run(tmp_path, *CLASSIC, "baseline=ssim")
    assert path.read_bytes() == before
    run(tmp_path, *CLASSIC)
    with path.open(newline="") as file:
        best = {line["kind"]: line["baseline"] for line in csv.DictReader(file)}
    of_best = table(tmp_path)
    scores = {row["label"]: float(row["all"]) for row in of_best.values() if row["group"] != "observers"}
    assert scores[best["2afc"]] == max(scores.values())


def test_a_misspelled_baseline_is_named_before_data_are_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("lpips_repro.evaluation.run.prepare", lambda *_: pytest.fail("fetched"))
    with pytest.raises(UserError, match=r"baseline=sim: no such row: expected one of .*did you mean ssim"):
        run(tmp_path, *CLASSIC, "baseline=sim")


def test_a_folder_that_is_not_bapps_is_never_compared_with_the_paper(tmp_path):
    make_split(tmp_path / "data", split="traditional", count=2)
    with pytest.raises(UserError, match=r"2afc/val/traditional: expected 4720, found 2"):
        run(tmp_path, *CLASSIC, name="bapps")


def test_no_table_of_another_run_stays_next_to_those_of_this_one(tmp_path):
    make_split(tmp_path / "data")
    make_split(tmp_path / "data", kind="jnd")
    run(tmp_path, *CLASSIC)
    assert (tmp_path / "experiments/tables-folder/jnd.csv").exists()
    (tmp_path / "data/jnd").rename(tmp_path / "jnd")
    run(tmp_path, *CLASSIC)
    assert not (tmp_path / "experiments/tables-folder/jnd.csv").exists()


def test_a_run_that_fails_leaves_the_record_of_the_one_before(tmp_path):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    with pytest.raises(UserError, match="absent"):
        run(tmp_path, *CLASSIC, "seed=7", f"data.root={tmp_path}/absent")
    assert "seed: 0" in (tmp_path / "experiments/tables-folder/config.yaml").read_text()


def test_a_name_that_is_no_folder_leaves_none(tmp_path):
    overrides = ("data=mini", "name=a/b", f"experiments={tmp_path}/experiments")
    done = subprocess.run(
        [sys.executable, "scripts/evaluate.py", *overrides], cwd=CONFIGS.parent, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "error: name=a/b: expected letters, digits" in done.stderr
    assert not (tmp_path / "experiments").exists()


def test_the_log_is_with_the_tables(tmp_path, caplog):
    make_split(tmp_path / "data")
    caplog.set_level(logging.INFO)
    run(tmp_path, *CLASSIC)
    assert "INFO distances: 4 computed" in (tmp_path / "experiments/tables-folder/evaluate.log").read_text()


def test_a_metric_that_needs_more_pixels_is_not_run(tmp_path, monkeypatch):
    def large(x, y):
        raise ValueError("needs 161 pixels")

    make_split(tmp_path / "data")
    monkeypatch.setattr("lpips_repro.evaluation.methods.metrics.TRIAL_SIZES", ())
    monkeypatch.setitem(METRICS, "psnr", METRICS["psnr"]._replace(function=large))
    run(tmp_path, "metric=[l2_rgb,psnr]", "net=[]", "bootstrap=5")
    assert table(tmp_path)["psnr"]["note"] == "not run: on 2afc/val/cnn: needs 161 pixels"
    assert table(tmp_path)["l2-rgb"]["all"] != ""


def test_nothing_to_evaluate_is_an_error(tmp_path):
    with pytest.raises(UserError, match="nothing to evaluate"):
        run(tmp_path, "metric=[]", "net=[]")


def test_pairs_that_nobody_called_the_same_are_left_out_with_a_warning(tmp_path, caplog):
    folder, _, _ = make_split(tmp_path / "data", kind="jnd")
    make_split(tmp_path / "data", kind="jnd", split="other", seed=1)
    for file in (folder / "same").iterdir():
        np.save(file, np.zeros(1, np.float32))
    run(tmp_path, *CLASSIC)
    assert "jnd/val/cnn: nobody answered 'same' to any pair, so its mAP is undefined: left out" in caplog.text
    row = table(tmp_path, "jnd")["l2-rgb"]
    assert "cnn" not in row and row["other"] == row["all"] != ""


def test_data_without_any_score_are_an_error(tmp_path):
    folder, _, _ = make_split(tmp_path / "data", kind="jnd")
    for file in (folder / "same").iterdir():
        np.save(file, np.zeros(1, np.float32))
    reason = "nobody answered 'same' to any pair, so its mAP is undefined"
    with pytest.raises(UserError, match=f"no split has a score: jnd/val/cnn: {reason}: use data"):
        run(tmp_path, *CLASSIC)


def test_a_dataset_that_gives_no_split_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Folder, "prepare", lambda self, phases: [])
    with pytest.raises(UserError, match="data=folder: no split of phase val: `prepare` of its class returned none"):
        run(tmp_path, *CLASSIC)


def test_stating_the_observers_computes_nothing_again(tmp_path, caplog):
    make_split(tmp_path / "data")
    run(tmp_path, *CLASSIC)
    (card,) = (tmp_path / "packed").rglob("card.json")
    packed_at = card.stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC, "data.observers=human")
    assert "distances: all 4 are stored" in caplog.text
    assert card.stat().st_mtime_ns == packed_at
    assert "human" in table(tmp_path)


def test_tables_are_not_written_into_the_folder_of_a_run(tmp_path):
    make_split(tmp_path / "data")
    (tmp_path / "experiments/mine").mkdir(parents=True)
    (tmp_path / "experiments/mine/last.pt").touch()
    with pytest.raises(UserError, match="mine: has results of `make train`: choose another name"):
        run(tmp_path, *CLASSIC, "name=mine")


def test_a_misspelled_dataset_of_runs_is_refused(tmp_path):
    make_split(tmp_path / "data")
    with pytest.raises(UserError, match="trained_on=foldr: no finished run on it"):
        run(tmp_path, *CLASSIC, "trained_on=foldr")


def test_two_seeds_of_mini_are_side_by_side(tmp_path):
    tiny = ("data.train=2", "data.val=4", "data.jnd=10", "data.autoencoders=2", "data.autoencoder_steps=1")
    digests = []
    for seed in (0, 1, 0):
        where = (f"data.root={tmp_path}", f"data.seed={seed}", "data.workers=1")
        cfg = parse(settings("evaluate", "data=mini", *where, *tiny), EvaluateConfig)
        digests.append([split.card["digest"] for split in prepare(cfg.data, "val")])
    assert digests[0] == digests[2] != digests[1]
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("seed")]) == 2


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
    assert json.loads(rows["l2-rgb"]["settings"])["resize"] == resize


def raises_an_error(x, y, *, at: int):
    """A metric that fails from some number of images at once on: at 1 already where it is tried."""
    if len(x) >= at:
        raise RuntimeError("no kernel for this\nand a second line")
    return (x - y).abs().mean(dim=(1, 2, 3))


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("kind", ["2afc", "jnd"])
def test_a_metric_that_raises_an_error_is_a_row_with_the_reason_and_the_others_are_made(
    tmp_path, caplog, monkeypatch, at, kind
):
    monkeypatch.setitem(METRICS, "raises_an_error", Metric(raises_an_error, lambda value: value))
    make_split(tmp_path / "data", kind=kind, split="cnn")
    make_split(tmp_path / "data", kind=kind, split="color", seed=1)
    own = ("metric=[l2_rgb,psnr]", "metric.psnr.function=raises_an_error", f"+metric.psnr.settings.at={at}")
    run(tmp_path, *own, "net=[]", "bootstrap=20", "device=cpu")
    rows = table(tmp_path, {"2afc": "twoafc", "jnd": "jnd"}[kind])
    assert re.fullmatch(rf"not run: on {kind}/val/c\w+: RuntimeError: no kernel for this", rows["psnr"]["note"])
    assert rows["psnr"]["all"] == "" != rows["l2-rgb"]["all"]
    told = [record.message for record in caplog.records if "no kernel" in record.message]
    assert len(told) == 1 and "\n" not in told[0]


def test_a_metric_that_raises_an_error_on_one_kind_of_splits_has_its_row_of_the_other(tmp_path, monkeypatch):
    def of_triplets(x, y):
        if len(x) == 4:
            raise RuntimeError("no pairs")
        return (x - y).abs().mean(dim=(1, 2, 3))

    monkeypatch.setitem(METRICS, "psnr", Metric(of_triplets, lambda value: value))
    make_split(tmp_path / "data", count=5)
    make_split(tmp_path / "data", kind="jnd", count=4)
    run(tmp_path, "metric=[l2_rgb,psnr]", "net=[]", "bootstrap=20", "device=cpu")
    row = table(tmp_path)["psnr"]
    assert (row["all"] != "", row["note"]) == (True, "")
    row = table(tmp_path, "jnd")["psnr"]
    assert (row["all"], row["note"]) == ("", "not run: on jnd/val/cnn: RuntimeError: no pairs")


def test_distances_of_another_program_on_one_kind_of_splits_have_their_row_of_it(tmp_path):
    make_split(tmp_path / "data", count=5)
    make_split(tmp_path / "data", split="color", count=5)
    make_split(tmp_path / "data", kind="jnd", count=5)
    (tmp_path / "theirs").mkdir()
    files = {"2afc-val-cnn": ",1,2", "2afc-val-color": ",1,2", "jnd-val-cnn": ",1"}
    overrides = ("metric=[hdr_vdp]", f"metric.hdr-vdp.distances={tmp_path}/theirs", "net=[]", "bootstrap=20")
    rows = {}
    for name, values in files.items():
        lines = [f"index{',d0,d1' if name[0] == '2' else ',d'}", *(f"{index}{values}" for index in range(5))]
        (tmp_path / f"theirs/{name}.csv").write_text("\n".join(lines) + "\n")
        run(tmp_path, *overrides)
        rows[name] = [table(tmp_path, kind)["hdr-vdp"] for kind in ("twoafc", "jnd")]
    assert [[row["all"] != "" for row in both] for both in rows.values()] == [
        [False, False], [True, False], [True, True]
    ]  # fmt: skip
    (no_color, _), (_, no_pairs), _ = rows.values()
    for row, name in ((no_color, "2afc-val-color"), (no_pairs, "jnd-val-cnn")):
        said = f"not run: on {name.replace('-', '/')}: {tmp_path}/theirs/{name}.csv: No such file or directory"
        assert row["note"] == said


def test_networks_without_weights_are_named_before_bapps_is_fetched(tmp_path, monkeypatch, caplog):
    class Fetched(Exception):
        pass

    def prepare_nothing(data, *phases):
        raise Fetched(caplog.text)

    monkeypatch.setattr("lpips_repro.evaluation.run.prepare", prepare_nothing)
    monkeypatch.setattr(logging, "_logRecordFactory", PublicRecord)  # that of the script
    with pytest.raises(Fetched) as before:
        run(tmp_path, "net=[vgg,alex_gaussian,alex_kmeans]", "download=false", "device=cpu", name="bapps")
    (warned,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert warned in str(before.value)
    assert re.search(r"\n  vgg: no ImageNet weights of vgg on this computer: .*\n  alex-kmeans: .*no such file", warned)
    assert "gaussian" not in warned


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("reference=absent", "absent/paper_2afc.csv: No such file"),
        ("experiments={}/file/x", "file/x/tables-bapps: Not a directory"),
        ("device=cuda", "device=cuda: "),
    ],
)
def test_what_is_cheap_to_find_is_found_before_bapps_is_fetched(tmp_path, monkeypatch, override, message):
    monkeypatch.setattr("lpips_repro.evaluation.run.prepare", lambda *_: pytest.fail("fetched"))
    monkeypatch.setattr("lpips_repro.runs.device.why_no_cuda", lambda: "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        run(tmp_path, "net=[]", override.format(tmp_path), name="bapps")
