"""A dataset without judgments is refused, and simulated judgments are labeled everywhere."""

import contextlib
import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from lpips_repro.building import simulate as module
from lpips_repro.building.simulate import simulate
from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.mini.observers import choose_probability, perceptual_distance
from lpips_repro.datasets.packed import VOTE_FIELD
from lpips_repro.datasets.packing.observers import LABEL
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError
from lpips_repro.evaluation.run import evaluate
from lpips_repro.report.statistics import write_statistics
from lpips_repro.training.run import train
from tests.building.conftest import build, digests, pixels
from tests.compose import CONFIGS, settings

SPLITS = {"2afc/train/traditional": 2, "2afc/val/traditional": 5, "jnd/val/traditional": 3}


@pytest.fixture
def dataset(built, tmp_path):
    return shutil.copytree(built, tmp_path / "dataset")


def run(dataset, *overrides):
    simulate(settings("simulate", f"out={dataset}", *overrides))


def packed(dataset, *overrides, phases=("train", "val")):
    words = ("data=folder", f"data.root={dataset}", f"data.packed={dataset.parent}/packed", "data.workers=1")
    return prepare(parse(settings("dataset", *words, *overrides), DatasetConfig).data, *phases)


@pytest.mark.parametrize("phases", [("train",), ("val",), ("train", "val")])
def test_without_judgments_it_is_refused_with_the_command_that_simulates_them(built, tmp_path, phases):
    with pytest.raises(UserError, match=rf"traditional: built without judgments: collect them into .*OUT={built}`"):
        prepare(
            parse(
                settings("dataset", "data=folder", f"data.root={built}", f"data.packed={tmp_path}"), DatasetConfig
            ).data,
            *phases,
        )


def test_splits_that_another_process_finishes_meanwhile_are_judged_too(dataset, monkeypatch, capsys):
    split = dataset / "jnd/val/traditional"
    split.rename(dataset / "later")

    @contextlib.contextmanager
    def waited(root):
        (dataset / "later").rename(split)
        yield

    monkeypatch.setattr(module, "exclusive", waited)
    run(dataset)
    assert "3 of 3 splits judged now" in capsys.readouterr().out


def test_judgments_are_shares_of_votes_labeled_simulated(dataset, capsys):
    run(dataset)
    assert "3 of 3 splits judged now" in (printed := capsys.readouterr().out)
    assert "simulated" in printed and "nothing about human vision" in printed
    for split in packed(dataset):
        votes = SPLITS[split.name] * split.votes
        np.testing.assert_allclose(votes, np.rint(votes), atol=1e-6)
        assert split.card["observers"] == "simulated"
        label = json.loads((dataset / split.name / VOTE_FIELD[split.card["kind"]] / LABEL).read_text())
        assert (label["observers"], label["votes"], label["seed"]) == ("simulated", SPLITS[split.name], 0)


def test_judgments_follow_the_distances_of_the_simulated_observers(dataset):
    run(dataset, "val_votes=10000")
    (split,) = (one for one in packed(dataset) if one.name == "2afc/val/traditional")
    ref, p0, p1 = (
        np.stack([pixels(file) for file in sorted((dataset / split.name / field).iterdir())])
        for field in ("ref", "p0", "p1")
    )
    expected = choose_probability(perceptual_distance(ref, p0), perceptual_distance(ref, p1))
    assert split.votes == pytest.approx(expected, abs=0.03)


def test_the_label_is_in_statistics_and_a_setting_cannot_change_it(dataset, tmp_path, capsys):
    run(dataset)
    words = ("data=folder", f"data.root={dataset}", f"data.packed={tmp_path}/packed", f"experiments={tmp_path}")
    write_statistics(settings("dataset", *words))
    assert "SIMULATED observers" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"data.observers=human: .*judge is labeled simulated: leave the setting out"):
        packed(dataset, "data.observers=human")
    assert {split.card["observers"] for split in packed(dataset, "data.observers=simulated")} == {"simulated"}


def test_the_same_command_judges_nothing_again_and_gives_the_same_bytes(dataset, built, tmp_path):
    run(dataset)
    again = shutil.copytree(built, tmp_path / "again")
    run(again)
    assert digests(again) == digests(dataset)
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*.npy")}
    run(dataset)
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*.npy")} == before
    other = shutil.copytree(built, tmp_path / "other")
    run(other, "seed=1")
    assert digests(other) != digests(dataset)


def test_judgments_that_are_complete_are_checked_without_a_lock(dataset, monkeypatch, capsys):
    run(dataset)
    monkeypatch.setattr(module, "exclusive", None)
    run(dataset)
    assert "0 of 3 splits judged now" in capsys.readouterr().out
    with pytest.raises(UserError, match="judge: already holds judgments"):
        run(dataset, "seed=1")


@pytest.mark.parametrize("key", ["train_votes", "val_votes", "jnd_votes"])
def test_more_votes_than_can_be_drawn_are_refused_before_any_are_written(tmp_path, key):
    with pytest.raises(UserError, match=f"^{key}=10{'0' * 19}: expected an integer from 1 to 1000000$"):
        simulate(settings("simulate", f"out={tmp_path}", f"{key}=10{'0' * 19}"))


def test_votes_are_on_the_disk_before_they_count(dataset, monkeypatch):
    flushed = []
    monkeypatch.setattr(module, "flush", lambda files: flushed.append([*files]))
    run(dataset)
    votes, folder = flushed[:2]
    assert len(votes) == 12 + 1 and folder == [dataset / "2afc/train/traditional/judge"]
    assert all(file.parent.name == ".judge.partial" for file in votes)


@pytest.mark.parametrize("label", [None, '{"observers": "human"}', "broken"])
def test_other_judgments_are_never_replaced(dataset, label):
    judge = dataset / "2afc/train/traditional/judge"
    judge.mkdir()
    np.save(judge / "000000.npy", np.float32([0.5]))
    if label:
        (judge / LABEL).write_text(label)
    before = digests(dataset)
    with pytest.raises(UserError, match="judge: already holds judgments, which differ from those of this command"):
        run(dataset)
    assert digests(dataset) == before


def test_simulated_judgments_next_to_others_are_refused(dataset):
    run(dataset)
    (dataset / "2afc/val/traditional/judge" / LABEL).unlink()
    message = "2afc/train/traditional/judge: simulated judgments, .*2afc/val/traditional/judge: other judgments"
    for phase in ("train", "val"):
        with pytest.raises(UserError, match=message):
            packed(dataset, phases=(phase,))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"observers": "dogs"}'])
def test_a_label_that_cannot_be_read_is_named(dataset, text):
    run(dataset)
    (dataset / "2afc/train/traditional/judge" / LABEL).write_text(text)
    with pytest.raises(UserError, match=r"judge/observers.json: not a readable label of the observers"):
        packed(dataset, phases=("train",))


def test_partial_votes_of_a_killed_process_are_made_again(dataset):
    (dataset / "2afc/train/traditional/.judge.partial").mkdir()
    run(dataset)
    assert not [*dataset.rglob("*.partial")]
    assert len(packed(dataset)) == 3


def test_images_that_cannot_be_judged_are_named(dataset, tmp_path):
    Image.new("RGB", (63, 64)).save(dataset / "2afc/val/traditional/p1/000003.png")
    with pytest.raises(UserError, match=r"p1/000003.png: uint8 63 x 64: expected .* one size"):
        run(dataset)
    assert not (dataset / "2afc/val/traditional/judge").exists()
    with pytest.raises(UserError, match="no such folder"):
        run(tmp_path / "missing")


def test_candidates_of_another_size_than_their_reference_are_named(dataset):
    for file in (dataset / "2afc/val/traditional/p1").iterdir():
        Image.open(file).resize((32, 32)).save(file)
    with pytest.raises(UserError, match=r"traditional/p1/000000.png: uint8 32 x 32: expected .* one size .*64 x 64"):
        run(dataset)


def test_images_of_other_sizes_can_be_judged(photographs, tmp_path):
    out = build(photographs, tmp_path / "out", "size=37", "train=0", "jnd=0")
    run(out)
    (split,) = packed(out, "data.size=37", phases=("val",))
    assert split.size == (37, 37)


def test_from_a_folder_of_photographs_to_a_trained_lin_and_its_table(photographs, tmp_path):
    out = build(photographs, tmp_path / "mine", "train=40", "val=20", "jnd=10")
    run(out)
    where = (f"experiments={tmp_path}/experiments", f"features={tmp_path}/features", "download=false", "device=cpu")
    data = ("data=folder", "data.name=mine", f"data.root={out}", f"data.packed={tmp_path}/packed", "bootstrap=20")
    epochs = ("trainer.epochs=2", "trainer.decay_epochs=0", "trainer.batch_size=10")
    train(settings("train", *data, *where, *epochs, "net=alex_gaussian", "variant=lin"))
    reference = f"reference={CONFIGS.parent}/experiments/reference"
    rows = "metric=[l2_rgb]", "net=[alex_gaussian]", "variant=[off_the_shelf,lin]"
    evaluate(settings("evaluate", *data, *where, reference, *rows))
    with (tmp_path / "experiments/tables-mine/twoafc.csv").open(newline="") as file:
        table = {(row["method"], row["variant"]): row for row in csv.DictReader(file)}
    assert {row["observers"] for row in table.values()} == {"simulated"}
    lin = table["alex-gaussian", "lin"]
    assert lin["origin"] != "" and 0 < float(lin["traditional"]) <= 100
    assert float(table["l2-rgb", ""]["traditional"]) > 0
    with (tmp_path / "experiments/tables-mine/jnd.csv").open(newline="") as file:
        assert all(row["observers"] == "simulated" for row in csv.DictReader(file))
