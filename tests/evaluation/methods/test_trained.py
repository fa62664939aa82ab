"""Finished training runs in the tables; the runs here are made of random weights."""

import csv
import json

import numpy as np
import pytest
import torch

from lpips_repro.backbones import gaussian_state
from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.finished_runs import TrainedRun, digests_of, find_runs
from lpips_repro.evaluation.run import evaluate
from lpips_repro.metrics.lpips import LPIPS
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split

# The summary of some other program, which happens to have our keys.
TEXTS = dict.fromkeys(("net", "backbone", "variant", "version", "data"), "x")
WRONG_SEED = json.dumps({**TEXTS, "seed": "0", "splits": {}})
CHANNELS = (64, 192, 384, 256, 256)


def digests(root, *overrides, phases=("val",)):
    """What a run on the folder in `root` has in its summary."""
    words = ("data=folder", f"data.root={root}/data", f"data.packed={root}/packed", *overrides)
    return digests_of(prepare(parse(settings("evaluate", *words), EvaluateConfig).data, *phases))


def make_run(experiments, seed=0, data="folder", variant="lin", net="alex-gaussian", name=None, splits=None):
    """A finished run as `make train` leaves it, with random lin weights; on the folder next to `experiments`."""
    if splits is None:
        splits = digests(experiments.parent) if data == "folder" else {"2afc/val/cnn": "250 triplets 0123456789ab"}
    folder = experiments / (name or f"{data}-{net}-{variant}-v0.1-seed{seed}")
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    lin = {f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1, generator=generator) for k, c in enumerate(CHANNELS)}
    metric = LPIPS("alex", variant, weights=gaussian_state("alex", seed), lin_weights=lin)
    torch.save(metric.official_state_dict(), folder / "weights.pth")
    about = {"net": net, "backbone": "alex", "variant": variant, "version": "0.1", "seed": seed, "data": data}
    about["splits"] = splits
    (folder / "summary.json").write_text(json.dumps(about))
    return folder


def table(tmp_path, *overrides, kind="twoafc"):
    evaluate(
        settings(
            "evaluate",
            *("data=folder", "metric=[]", "net=[alex_gaussian]", "variant=[lin]", "bootstrap=200", "device=cpu"),
            *(f"experiments={tmp_path}/experiments", f"reference={CONFIGS.parent}/experiments/reference"),
            *(f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", "download=false"),
            *overrides,
        )
    )
    return rows_of(tmp_path, kind)


def rows_of(tmp_path, kind):
    """The rows of methods in a table that was written."""
    with (tmp_path / f"experiments/tables-folder/{kind}.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["group"] != "observers"]


@pytest.fixture
def data(tmp_path):
    make_split(tmp_path / "data", split="mine", count=12)
    make_split(tmp_path / "data", kind="jnd", split="cnn", count=12)
    return tmp_path


def test_a_finished_run_is_a_row_that_names_run_seed_and_origin(data, capsys):
    make_run(data / "experiments", seed=3)
    (data / "experiments/folder-alex-lin-v0.1-seed9").mkdir()  # begun, not finished
    (row,) = table(data)
    assert (row["group"], row["method"], row["variant"], row["version"]) == ("lpips", "alex-gaussian", "lin", "0.1")
    name = "folder-alex-gaussian-lin-v0.1-seed3"
    assert [row[key] for key in ("label", "origin", "seed", "run")] == [name, "trained here", "3", name]
    assert json.loads(row["settings"])["trained_on"] == "folder"
    assert row["mine"] != ""
    assert "alex-gaussian lin v0.1 (trained here, seed 3)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "without_seed", "origin"),
    [
        ("a-seed1-alex-lin-v0.1-seed1", "a-seed1-alex-lin-v0.1", "trained here"),
        ("a-seed1-alex-lin-v0.1-seed1-0a1b2c3d", "a-seed1-alex-lin-v0.1-0a1b2c3d", "trained here, 0a1b2c3d"),
        ("a-seed12-alex-lin-v0.1-seed1", "a-seed12-alex-lin-v0.1", "trained here"),
        ("renamed", "renamed", "trained here"),
    ],
)
def test_the_seed_of_a_run_is_the_last_one_in_its_name(tmp_path, name, without_seed, origin):
    run = TrainedRun(tmp_path / name, "alex", "alex", "lin", "0.1", 1, "a-seed1", {})
    assert (run.without_seed, run.origin) == (without_seed, origin)


def test_the_row_has_the_scores_of_the_exported_weights(data):
    folder = make_run(data / "experiments")
    (row,) = table(data)
    metric = LPIPS.from_official("alex", "0.1", torch.load(folder / "weights.pth", weights_only=True), "lin")
    (distances,) = (data / "experiments/distances").rglob("*2afc*/*.csv")
    values = np.loadtxt(distances, delimiter=",", skiprows=1)
    (packed,) = (data / "packed").rglob("2afc-val-mine")
    images = [torch.from_numpy(np.load(packed / f"{f}.npy")).permute(0, 3, 1, 2) / 255 for f in ("ref", "p0", "p1")]
    d0, d1 = metric.triplet(*images, normalize=True)
    np.testing.assert_allclose(values[:, 1:3], torch.stack((d0, d1), 1).numpy(), rtol=1e-5)
    judge = values[:, 3]
    assert float(row["mine"]) == pytest.approx(
        100 * np.where(values[:, 2] < values[:, 1], judge, 1 - judge).mean(), abs=0.01
    )


def test_several_seeds_are_one_row_of_mean_and_spread(data, capsys):
    alone = [data / f"alone-{seed}" for seed in (0, 1, 2)]
    for seed, folder in enumerate(alone):
        folder.mkdir()
        (folder / "data").symlink_to(data / "data")
        make_run(folder / "experiments", seed=seed)
        table(folder)
        make_run(data / "experiments", seed=seed)
    table(data)
    for kind, column in (("twoafc", "mine"), ("jnd", "cnn")):
        (row,) = rows_of(data, kind)
        rows = [row for folder in alone for row in rows_of(folder, kind)]
        assert len(rows) == 3 and not any(f"{column}_sd" in row for row in rows)
        singles = [float(row[column]) for row in rows]
        assert float(row[column]) == pytest.approx(np.mean(singles), abs=0.02)
        assert float(row[f"{column}_sd"]) == pytest.approx(np.std(singles, ddof=1), abs=0.02)
        name = "folder-alex-gaussian-lin-v0.1"
        runs = [f"{name}-seed{seed}" for seed in (0, 1, 2)]
        assert [row[key] for key in ("label", "seed", "run")] == [name, "0 1 2", " ".join(runs)]
        made = json.loads(row["settings"])
        assert (made["trained_here"], made["backbone"], len(made["lin"])) == (runs, "alex", 3)
    printed = capsys.readouterr().out
    assert "alex-gaussian lin v0.1 (trained here, 3 seeds)" in printed
    assert "±: standard deviation over the seeds of training." in printed


def test_settings_of_a_trained_row_have_the_optimizer(data):
    settings_of_run = "trainer: {epochs: 5}\noptimizer: {name: sgd, momentum: 0.9, weight_decay: 0.0}\n"
    (make_run(data / "experiments", seed=0) / "config.yaml").write_text(settings_of_run)
    (row,) = table(data)
    optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 0.0}
    assert json.loads(row["settings"])["training"] == {"epochs": 5, "optimizer": optimizer}


def test_settings_of_a_trained_row_have_epochs_and_rate_and_those_of_seeds_that_differ_in_a_list(data):
    for seed, rate in ((0, 1e-4), (1, 5e-4)):
        folder = make_run(data / "experiments", seed=seed)
        (folder / "config.yaml").write_text(f"trainer: {{epochs: 5, learning_rate: {rate}}}\nfeatures: {{path: x}}\n")
    (row,) = table(data)
    assert json.loads(row["settings"])["training"] == [
        {"epochs": 5, "learning_rate": 1e-4}, {"epochs": 5, "learning_rate": 5e-4}
    ]  # fmt: skip
    (folder / "config.yaml").write_text("trainer: [")
    assert find_runs(data / "experiments")[1].training == {}


def test_runs_with_other_settings_are_rows_of_their_own_and_are_distinguished(data, capsys):
    name = "folder-alex-gaussian-lin-v0.1-seed{}-{}"
    make_run(data / "experiments", seed=0)
    make_run(data / "experiments", seed=0, name=name.format(0, "0a1b2c3d"))
    for seed in (0, 1):
        make_run(data / "experiments", seed=seed, name=name.format(seed, "186761a8"))
    assert len(table(data)) == 3
    printed = capsys.readouterr().out
    for origin in ("seed 0", "186761a8, 2 seeds", "0a1b2c3d, seed 0"):
        assert f"alex-gaussian lin v0.1 (trained here, {origin})" in printed


def test_only_runs_on_the_same_dataset_are_rows_unless_another_is_asked_for(data):
    make_run(data / "experiments", data="mini", seed=5)
    make_run(data / "experiments", data="folder", seed=6)
    assert [row["seed"] for row in table(data)] == ["6"]
    (row,) = table(data, "trained_on=mini")
    assert (row["seed"], json.loads(row["settings"])["trained_on"]) == ("5", "mini")
    assert table(data, "trained_on=null", "metric=[l2_rgb]")[0]["method"] == "l2-rgb"


def test_a_run_on_another_folder_is_no_row_and_the_reason_is_reported(data, caplog):
    other = data / "other"
    make_split(other / "data", split="mine", count=12, seed=1)  # the same name and count, other content
    theirs = digests(other)
    folder = make_run(data / "experiments", seed=5, splits=theirs)
    make_run(data / "experiments", seed=6)
    (row,) = table(data)
    assert (row["origin"], row["seed"]) == ("trained here", "6")
    was, now = theirs["2afc/val/mine"], digests(data)["2afc/val/mine"]
    assert f"{folder}: no row: trained on other data that are also named folder: " in caplog.text
    assert f"2afc/val/mine was {was}, is {now}" in caplog.text


def test_a_run_that_has_no_split_of_the_table_is_no_row(data, caplog):
    make_run(data / "experiments", seed=5, splits={"2afc/val/others": "12 triplets 0123456789ab"})
    assert [row["method"] for row in table(data, "metric=[l2_rgb]")] == ["l2-rgb"]
    assert "no 2AFC split in common" in caplog.text


def test_a_run_with_the_same_validation_and_other_training_triplets_is_no_row_if_these_are_packed(data, caplog):
    make_split(data / "data", phase="train", split="mine", count=4)
    both = digests(data, phases=("train", "val"))
    make_run(data / "experiments", seed=5, splits=both)
    make_run(data / "experiments", seed=6, splits=both | {"2afc/train/mine": "4 triplets 0123456789ab"})
    (row,) = table(data)
    assert (row["origin"], row["seed"]) == ("trained here", "5")
    assert "seed6: no row" in caplog.text


def test_a_split_that_came_later_takes_no_row_away(data):
    make_run(data / "experiments", seed=5)
    make_split(data / "data", split="new", count=3, seed=2)
    (row,) = table(data)
    assert row["new"] != ""


def test_if_no_run_is_on_these_data_and_nothing_else_is_selected_that_is_an_error(data):
    make_run(data / "experiments", splits={"2afc/val/others": "12 triplets 0123456789ab"})
    with pytest.raises(UserError, match="no run was trained on these data"):
        table(data)


def test_tune_of_other_data_is_absent_with_the_command_that_trains_it(data):
    make_run(data / "experiments", net="alex", variant="tune", splits={"2afc/val/mine": "12 triplets 0123456789ab"})
    rows = table(data, "net=[alex]", "variant=[tune]", "metric=[l2_rgb]")
    assert rows[-1]["note"].endswith("run `make train NET=alex VARIANT=tune DATA=folder`")


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_run_without_whole_weights_is_not_run_and_its_command_exports_them_again(data, damage):
    file = make_run(data / "experiments") / "weights.pth"
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    *_, row = table(data, "metric=[l2_rgb]")
    what = "damaged" if damage == "cut" else "missing"
    assert row["note"].startswith(f"not run: {file}: {what}: run the command in ")
    assert "exports the weights again from last.pt" in row["note"]
    assert "delete" not in row["note"]


def test_tables_of_another_folder_are_kept(data, caplog):
    def files(folder):
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".csv", ".md", ".yaml")}

    tables = data / "experiments/tables-folder"
    table(data, "metric=[l2_rgb]")
    (tables / "correlation.csv").write_text("of these tables")
    first = files(tables)
    others = {
        "evaluate.log": "open in this process",
        "notes.txt": "mine",
        "alex.pth": "",
        "paper_2afc.csv": "theirs",
    }
    for name, text in others.items():
        (tables / name).write_text(text)
    make_split(data / "second", split="mine", count=12, seed=1)
    table(data, "metric=[l2_rgb]", f"data.root={data}/second")
    (kept,) = (data / "experiments").glob("tables-folder-*")
    assert files(kept) == first
    assert not (tables / "correlation.csv").exists()
    assert {name: (tables / name).read_text() for name in others if name != "evaluate.log"}.items() <= others.items()
    assert not others.keys() & {path.name for path in kept.iterdir()}
    assert f"{tables}: its tables are of other data: kept in {kept}" in caplog.text
    second = files(tables)
    assert second["twoafc.csv"] != first["twoafc.csv"]

    caplog.clear()
    table(data, "metric=[l2_rgb]", f"data.root={data}/second")  # the same data again
    assert "other data" not in caplog.text
    table(data, "metric=[l2_rgb]")
    assert sorted(files(folder)["twoafc.csv"] for folder in (data / "experiments").glob("tables-folder*")) == sorted(
        (first["twoafc.csv"], first["twoafc.csv"], second["twoafc.csv"])
    )
    table(data, "metric=[l2_rgb]", f"data.root={data}/second")
    assert len(list((data / "experiments").glob("tables-folder*"))) == 3  # one of each data, and the last one's


def test_tables_of_unknown_data_are_called_so(data, caplog):
    tables = data / "experiments/tables-folder"
    for _ in range(3):
        table(data, "metric=[l2_rgb]")
        (tables / "data.json").unlink(missing_ok=True)
    assert f"{tables}: the data of its tables are unknown: kept in {tables}-earlier" in caplog.text
    assert (tables.with_name(f"{tables.name}-earlier-2") / "twoafc.csv").is_file()


def test_tune_without_a_run_is_not_run_and_says_how_to_train_it(data):
    rows = table(data, "net=[alex]", "variant=[tune]", "metric=[l2_rgb]")
    assert rows[-1]["mine"] == ""
    assert rows[-1]["note"].endswith("run `make train NET=alex VARIANT=tune DATA=folder`")


@pytest.mark.parametrize(
    "content", ["{}", "", "[1, 2]", '{"net": "alex"', '"text"', "null", WRONG_SEED, "[" * 100_000, None]
)
def test_what_is_not_the_summary_of_a_run_is_skipped_and_left_alone(tmp_path, content, caplog):
    (tmp_path / "x").mkdir()
    if content is None:  # a folder of this name
        (tmp_path / "x/summary.json").mkdir()
    else:
        (tmp_path / "x/summary.json").write_text(content)
    (tmp_path / "x/weights.pth").write_text("of another program")
    with caplog.at_level("INFO"):
        assert find_runs(tmp_path) == []
    assert "x/summary.json: not the summary of a finished training run: skipped" in caplog.text
    assert "delete" not in caplog.text
    assert "writes it again" not in caplog.text
    assert (tmp_path / "x/weights.pth").is_file()


def test_a_damaged_summary_next_to_a_checkpoint_is_skipped_with_the_remedy(tmp_path, caplog):
    file = make_run(tmp_path, data="mini") / "summary.json"
    file.write_text(file.read_text()[:40])
    file.with_name("last.pt").touch()
    with caplog.at_level("INFO"):
        assert find_runs(tmp_path) == []
    assert f"{file}: not the summary of a finished training run" in caplog.text
    assert "if it is damaged, the command of the run writes it again" in caplog.text
