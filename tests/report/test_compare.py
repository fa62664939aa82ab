"""`make compare` on runs with random weights and stored distances."""

import csv
import json
import shutil

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from lpips_repro.errors import UserError
from lpips_repro.report.compare import compare_runs
from lpips_repro.report.compared_runs import runs_to_compare
from tests.compose import settings
from tests.datasets.folders import make_split
from tests.evaluation.methods.test_trained import make_run, table
from tests.makefile import script

FIRST, OTHER = (f"folder-alex-gaussian-lin-v0.1-seed{seed}" for seed in (0, 1))
TWIN = f"{FIRST}-0a1b2c3d"  # has the same weights as the first run
COUNT = {"mine": 12, "yours": 10}


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    """Three runs: two seeds of one row of the tables, and a copy of the first one with another learning rate."""
    root = tmp_path_factory.mktemp("compare")
    for seed, (split, count) in enumerate(COUNT.items()):
        make_split(root / "data", split=split, count=count, seed=seed)
    make_split(root / "data", kind="jnd", split="cnn", count=8)
    for seed, name in ((0, FIRST), (1, OTHER), (0, TWIN)):
        folder = make_run(root / "experiments", seed, name=name)
        words = ("data=folder", f"data.root={root}/data", f"data.packed={root}/packed", f"seed={seed}")
        words += ("net=alex_gaussian", *["trainer.learning_rate=0.5"] * (name == TWIN))
        OmegaConf.save(settings("train", *words), folder / "config.yaml", resolve=True)
    table(root)
    return root / "experiments"


def compare(experiments, runs=f"{FIRST} {OTHER} {TWIN}", *overrides):
    compare_runs(settings("compare", f'runs="{runs}"', f"experiments={experiments}", *overrides))


def lines(experiments, name):
    with (experiments / f"compare/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def distances(experiments, run, split):
    """The file of the distances of a run."""
    files = (experiments / f"distances/folder/2afc-val-{split}").glob(f"{run}-*.csv")
    (file,) = (file for file in files if "-" not in file.stem.removeprefix(f"{run}-"))  # not those of the twin
    with file.open(newline="") as rows:
        found = [(float(row["d0"]), float(row["d1"]), float(row["judge"])) for row in csv.DictReader(rows)]
    return np.array(found).T


def test_scores_differences_and_flips_are_computed_from_stored_distances(experiments, capsys):
    compare(experiments, f"{FIRST} {OTHER}")
    scores = {(line["kind"], line["run"], line["split"]): line for line in lines(experiments, "scores")}
    flips = lines(experiments, "flips")
    assert {split for _, _, split in scores} == {*COUNT, "all", "cnn"} and len(flips) > 2
    for split in COUNT:
        both = [distances(experiments, run, split) for run in (FIRST, OTHER)]
        credit = [np.where(d1 < d0, judge, 1 - judge) for d0, d1, judge in both]
        found = [scores["2afc", run, split] for run in (FIRST, OTHER)]
        assert [float(one["score"]) for one in found] == pytest.approx([100 * of.mean() for of in credit], abs=0.0051)
        assert found[0]["difference"] == ""
        assert float(found[1]["difference"]) == pytest.approx(100 * (credit[1] - credit[0]).mean(), abs=0.0006)
        assert float(found[1]["difference_low"]) <= float(found[1]["difference"]) and 0 < float(found[1]["p"]) <= 1
        verdict = [d1 < d0 for d0, d1, _ in both]
        wanted = np.flatnonzero(verdict[0] != verdict[1])
        of_split = [line for line in flips if line["split"] == f"2afc/val/{split}"]
        assert sorted(int(line["index"]) for line in of_split) == [*wanted]
        assert all(line["verdict_a"] != line["verdict_b"] for line in of_split)
    printed = capsys.readouterr().out
    assert f"run 1: {FIRST}\nrun 2: {OTHER}" in printed and "JND mAP" in printed
    with Image.open(experiments / f"compare/flips-{OTHER}.png") as sheet:
        assert sheet.width > 3 * 3 * 128 and sheet.height > 2 * 128
    assert json.loads((experiments / "compare/run.json").read_text())["python"]


def test_settings_that_differ_are_named_and_equal_weights_give_no_flips(experiments, capsys):
    compare(experiments, f"{FIRST} {TWIN}")
    (setting,) = lines(experiments, "settings")
    assert (setting["setting"], setting[TWIN]) == ("trainer.learning_rate", "0.5") and setting[FIRST] != "0.5"
    assert lines(experiments, "flips") == []
    (last,) = (line for line in lines(experiments, "scores") if (line["run"], line["split"]) == (TWIN, "mine"))
    assert (float(last["difference"]), last["p"]) == (0, "1")
    assert "trainer.learning_rate" in capsys.readouterr().out


def test_each_run_is_compared_with_the_first_and_earlier_pictures_are_removed(experiments):
    compare(experiments, f"{OTHER} {FIRST}")
    compare(experiments)
    folder = experiments / "compare"
    assert {file.name for file in folder.glob("*.png")} == {f"flips-{OTHER}.png", f"flips-{TWIN}.png"}
    assert {line["method_b"] for line in lines(experiments, "flips")} == {OTHER}
    assert [*lines(experiments, "settings")[0]] == ["setting", FIRST, OTHER, TWIN]


def test_runs_are_found_by_path_and_by_name(experiments, tmp_path):
    folder = tmp_path / "my runs"
    shutil.copytree(experiments / FIRST, folder / FIRST)
    found = runs_to_compare(f"{OTHER} '{folder / FIRST}/'", experiments)
    assert [run.label for run in found] == [OTHER, FIRST]
    both = runs_to_compare(f"{FIRST} '{folder / FIRST}'", experiments)
    assert [run.label for run in both] == [str(experiments / FIRST), str(folder / FIRST)]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ("", "runs=: expected two or more runs: RUNS="),
        (FIRST, f"runs={FIRST}: expected two or more runs"),
        (f"{FIRST} {FIRST}", "is named twice: expected different runs"),
        (f"{FIRST} {FIRST[:-1]}", f"no such run: expected one of .*did you mean {FIRST}"),
        (f"{FIRST} tables-folder", "tables-folder: not a finished training run: it has no summary.json"),
    ],
)
def test_runs_that_cannot_be_compared_are_an_error_that_names_them(experiments, runs, message):
    with pytest.raises(UserError, match=message):
        compare(experiments, runs)


def test_a_run_that_is_not_finished_or_has_other_data_is_named(experiments, tmp_path):
    (begun := tmp_path / "begun").mkdir()
    for name in ("config.yaml", "last.pt"):
        (begun / name).touch()
    with pytest.raises(UserError, match=r"begun: not finished: run its command again \(it is in .*run.json\)"):
        compare(experiments, f"{FIRST} {begun}")
    make_run(tmp_path, data="mini", name="mini-run")
    with pytest.raises(UserError, match=r"mini-run: other data than .*: compare runs with the same data"):
        compare(experiments, f"{FIRST} {tmp_path / 'mini-run'}")


def test_the_error_has_the_command_that_computes_missing_distances(experiments, tmp_path):
    own = tmp_path / "experiments"
    shutil.copytree(experiments, own)
    shutil.rmtree(own / "distances")
    root = experiments.parent / "data"
    args = f"'experiments={own} data.packed={experiments.parent}/packed'"
    command = f"no stored distances: run `make eval-tables DATA=folder DATA_ROOT={root} ARGS={args}`"
    with pytest.raises(UserError, match=command):
        compare(own, f"{FIRST} {TWIN}")
    shutil.rmtree(own / "tables-folder")
    with pytest.raises(UserError, match=r"twoafc.csv does not exist: run `make eval-tables DATA=folder"):
        compare(own, f"{FIRST} {TWIN}")


def test_make_passes_the_names():
    name, *words = script("compare", "RUNS=a 'b c'")
    assert name == "scripts/compare.py"
    assert settings("compare", *words).runs == "a 'b c'"
