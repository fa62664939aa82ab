"""From judgments to a dataset that training and evaluation read, and how far workers agree."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from lpips_repro.collect.agreement import alpha, unbiased_human_twoafc
from lpips_repro.collect.export import pack, write_dataset
from lpips_repro.collect.models import Item, Judgment
from lpips_repro.collect.progress import of_sessions, of_splits, timing_within_a_frame
from lpips_repro.collect.run import collect
from lpips_repro.collect.simulated import choices_of, judge_all, workers_of
from lpips_repro.collect.study import SIMULATED, open_study
from lpips_repro.errors import UserError
from tests.collect.conftest import SIDE, config
from tests.collect.sitting import joined, sit
from tests.compose import settings


def test_alpha_is_that_of_krippendorffs_own_example():
    # Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), section B: binary data, two observers, no
    # missing data; its alpha is 0.095.
    meg = np.array([0, 1, 0, 0, 0, 0, 0, 0, 1, 0])
    owen = np.array([1, 1, 1, 0, 0, 1, 0, 0, 0, 0])
    assert alpha(np.full(10, 2), meg + owen) == pytest.approx(0.095, abs=5e-4)


def test_alpha_of_too_little_is_none():
    assert alpha(np.array([1, 1, 0]), np.array([1, 0, 0])) is None
    assert alpha(np.array([3, 3]), np.array([3, 3])) is None


def test_the_unbiased_ceiling_is_right_on_average_and_the_papers_is_not():
    # All outcomes of n votes with their probabilities: exact expectations.
    n, p = 5, 0.7
    k = np.arange(n + 1)
    weights = np.array([1, 5, 10, 10, 5, 1]) * p**k * (1 - p) ** (n - k)
    estimates = [unbiased_human_twoafc(np.array([n]), np.array([one])) for one in k]
    true = p**2 + (1 - p) ** 2
    assert np.dot(weights, estimates) == pytest.approx(true, abs=1e-12)
    plain = (k / n) ** 2 + (1 - k / n) ** 2
    assert np.dot(weights, plain) == pytest.approx(true + 2 * p * (1 - p) / n, abs=1e-12)
    assert unbiased_human_twoafc(np.array([1]), np.array([1])) is None


def judged(study) -> dict:
    query = select(Item.kind, Item.phase, Item.name, Judgment.value).join(Judgment, Judgment.item_id == Item.id)
    shares: dict = {}
    with study.store.read() as transaction:
        for *place, value in transaction.execute(query.order_by(Judgment.id)):
            shares.setdefault(tuple(place), []).append(value)
    return shares


def test_the_export_is_a_dataset_with_the_shares_of_the_judgments(study, tmp_path):
    for name in ("a", "b"):
        sit(study, joined(study, name), "2afc")
    sit(study, joined(study, "careless"), "2afc", attentive=False)
    sit(study, joined(study, "gone"), "2afc", most=20)
    expected = {place: values[:2] for place, values in judged(study).items()}
    out = tmp_path / "out"
    rows = write_dataset(study, out)
    assert {(row.kind, row.phase, row.name): (row.judged, row.yes) for row in rows} == {
        place: (2, sum(values)) for place, values in expected.items()
    }
    splits = pack(config(study.examples.root, tmp_path / "store", f"packed={tmp_path / 'packed'}"), out)
    assert [(split.name, len(split), split.card["observers"]) for split in splits] == [
        ("2afc/train/own", 4, "human"),
        ("2afc/val/own", 6, "human"),
    ]
    source = study.examples.root / "2afc/val/own/p1"
    for index, pixels in enumerate(splits[1].arrays["p1"]):
        with Image.open(source / f"{index:06d}.png") as image:
            assert np.array_equal(pixels, np.asarray(image))
    votes = [sum(expected["2afc", "val", f"{index:06d}"]) / 2 for index in range(6)]
    assert splits[1].votes.tolist() == votes
    with (out / "2afc/val/own/judge/votes.csv").open(newline="") as file:
        assert {line["judgments"] for line in csv.DictReader(file)} == {"2"}
    assert {one["split"] for one in json.loads((out / "agreement.json").read_text())} >= {"2afc/val/own"}


def test_nothing_is_overwritten_and_an_empty_study_is_not_exported(study, tmp_path):
    with pytest.raises(UserError, match="no judgment that counts yet"):
        write_dataset(study, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    with pytest.raises(UserError, match=r"^out=.*mine: exists: set out=NEW"):
        write_dataset(study, tmp_path / "mine")


def test_simulated_workers_fill_a_study_and_sentinels_catch_the_inattentive(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("lpips_repro.datasets.mini.observers.LAPSE", 0)  # those who are attentive make no mistake
    few = ("train_votes=2", "val_votes=2", "jnd_votes=2")
    study = open_study(config(dataset, tmp_path / "store", *few), SIMULATED)
    workers = workers_of(3, 0.34)
    assert [one.attentive for one in workers] == [True, False, True]
    for number, worker in enumerate(workers):
        judge_all(study, worker, np.random.default_rng(number))
    rows = of_sessions(study)
    excluded = {row["worker"] for row in rows if row["excluded"]}
    assert excluded == {number + 1 for number, one in enumerate(workers) if not one.attentive}
    assert all(row["judgments"] == row["wanted"] for row in of_splits(study))
    write_dataset(study, tmp_path / "out")
    label = json.loads((tmp_path / "out/jnd/val/own/same/observers.json").read_text())
    assert label["observers"] == "simulated"
    study.store.close()


def test_simulated_workers_see_what_is_shown():
    rng = np.random.default_rng(0)
    ref = rng.integers(60, 200, (SIDE, SIDE, 3), np.uint8)
    other = rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    triplets = [{"ref": ref, "left": other, "right": ref}] * 100
    assert choices_of("2afc", triplets, True, rng).count("right") > 90
    assert 30 < choices_of("2afc", triplets, False, rng).count("right") < 70
    assert choices_of("jnd", [{"first": ref, "second": ref}] * 100, True, rng).count("same") > 90
    assert choices_of("jnd", [{"first": ref, "second": other}] * 100, True, rng).count("same") < 10


def test_timing_is_within_a_frame_or_not(study):
    worker = joined(study, "a")
    sit(study, worker, "jnd", most=3)
    assert timing_within_a_frame(study) == (3, 3)  # exact, though the page measured no frame


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("do=export",), "out: no value: set OUT=FOLDER"),
        (("do=export", "out=x"), "name=study: no such study in"),
        (("do=other",), "do=other: expected one of"),
        (("name=a/b",), "name=a/b: expected letters, digits"),
        (("port=70000",), "port=70000: expected an integer from 0 to 65535"),
        (("val_votes=0",), "val_votes=0: expected an integer of at least 1"),
        (("inattentive=2",), r"inattentive=2.0: expected a share in \[0, 1\]"),
        (
            ("completion='javascript:alert(1)'",),
            "completion=javascript.*: expected an address that begins with https://",
        ),
        (("consent=nowhere.txt",), "consent=nowhere.txt: not readable"),
        (("host=203.0.113.1",), "host=203.0.113.1 port=8765: .*: set port=0"),
    ],
)
def test_settings_at_fault_are_named(dataset, tmp_path, monkeypatch, words, message):
    monkeypatch.setattr("lpips_repro.collect.run.install_libraries", lambda: None)
    composed = settings("collect", f"dataset={dataset}", f"store={tmp_path}", f"size={SIDE}", *words)
    with pytest.raises(UserError, match=f"^{message}"):
        collect(composed)


def test_a_dataset_that_is_not_named_or_not_there_is_asked_for(tmp_path):
    with pytest.raises(UserError, match=r"^dataset: no value: set DATASET=FOLDER"):
        collect(settings("collect"))
    with pytest.raises(UserError, match="no such folder: expected a dataset in the layout"):
        collect(settings("collect", f"dataset={tmp_path}/none", f"store={tmp_path}"))


def test_links_are_printed_for_each_worker(dataset, tmp_path, capsys):
    words = (
        f"dataset={dataset}",
        f"store={tmp_path}",
        f"size={SIDE}",
        "do=links",
        "count=2",
        "address='https://x.org'",
    )
    collect(settings("collect", *words))
    lines = capsys.readouterr().out.split()
    assert lines[::2] == ["2afc", "2afc", "jnd", "jnd"]
    assert len({line for line in lines[1::2] if line.startswith("https://x.org/join/")}) == 4
