import re

import numpy as np
import pytest
import torch

from lpips_repro.datasets.packed import PackedSplit, write_split
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.protocols.jnd import JND, jnd_map
from lpips_repro.evaluation.protocols.protocol import bootstrap_counts, redraw_without
from lpips_repro.evaluation.protocols.twoafc import TWOAFC, human_twoafc, oracle_twoafc
from lpips_repro.evaluation.tables.differences import difference_of_rows
from lpips_repro.evaluation.tables.table import Bootstrap, Row, add_scores, intervals_of, make_table, observer_rows


def packed(tmp_path, split, protocol=TWOAFC, count=40, observers="human"):
    rng = np.random.default_rng(len(split))
    arrays = {name: np.zeros((count, 64, 64, 3), np.uint8) for name in protocol.images}
    arrays[protocol.vote] = (rng.integers(0, 6, count) / 5).astype(np.float32)
    card = {
        "kind": protocol.kind,
        "phase": "val",
        "split": split,
        "dataset": "t",
        "resize": "exact",
        "observers": observers,
    }
    return write_split(tmp_path / split, arrays, card)


def test_observer_rows_are_the_human_and_oracle_scores_in_percent(tmp_path):
    splits = [packed(tmp_path, "one"), packed(tmp_path, "three", count=17)]
    human, oracle = observer_rows(splits, Bootstrap(TWOAFC, splits, 50, 0), {})
    for split in splits:
        assert human.scores[split.card["split"]] == 100 * human_twoafc(split.votes)
        assert oracle.scores[split.card["split"]] == 100 * oracle_twoafc(split.votes)
    assert human.scores["all"] == (human.scores["one"] + human.scores["three"]) / 2


def with_votes(split, votes):
    return PackedSplit(split.path, split.card, {**split.arrays, "judge": np.asarray(votes, np.float32)})


@pytest.mark.parametrize(("protocol", "artifacts"), [("2afc", {"human", "oracle"}), ("2afc-likelihood", {"oracle"})])
def test_votes_without_dissent_give_no_scores_of_observers_and_the_caption_says_why(tmp_path, protocol, artifacts):
    several = packed(tmp_path, "one", count=20)
    single = with_votes(packed(tmp_path, "three", count=20), np.arange(20) % 2)
    results = Results(Engine(torch.device("cpu")), DistanceStore(tmp_path / "store"), [])

    def made(*splits):
        bootstrap = Bootstrap(PROTOCOLS[protocol], splits, 20, 0)
        table = make_table([], splits, results, bootstrap, "By whom.", with_observers=True)
        return {row.method: row.scores for row in table.rows}, table.caption

    both, said = made(several, single)
    assert all(both[name].keys() == {"one"} for name in artifacts)
    assert re.search(r"By whom\..*No scores? of (observers|the oracle) on three: all votes are 0 or 1", said)
    alone, _ = made(single)
    assert alone.keys() == ({"chance"} if protocol == "2afc-likelihood" else set())
    assert alone.get("chance", {"all": np.log(2)})["all"] == pytest.approx(np.log(2))
    whole, said = made(several)
    assert artifacts < whole.keys() | {"chance"} and "all" in whole["oracle"] and "0 or 1" not in said


def test_the_simulated_observer_is_never_called_human(tmp_path):
    splits = [packed(tmp_path, "one", observers="simulated")]
    assert [row.method for row in observer_rows(splits, Bootstrap(TWOAFC, splits, 50, 0), {})] == [
        "simulated-observer",
        "oracle",
    ]


def interval_of_means(bootstrap, credits_):
    return intervals_of(bootstrap.replicated_means(credits_)[1])


def test_intervals_are_paired_a_better_metric_everywhere_is_better_in_every_resample(tmp_path):
    splits = [packed(tmp_path, "one")]
    bootstrap = Bootstrap(TWOAFC, splits, 200, 0)
    judge = splits[0].votes.astype(float)
    low, high = interval_of_means(bootstrap, {"one": judge})["all"]
    better_low, better_high = interval_of_means(bootstrap, {"one": judge + 0.01})["all"]
    np.testing.assert_allclose((better_low - low, better_high - high), 1.0)


def test_average_interval_is_narrower_than_that_of_its_splits(tmp_path):
    splits = [packed(tmp_path, name, count=200) for name in ("one", "three", "fives")]
    credits_ = {s.card["split"]: s.votes.astype(float) for s in splits}
    interval = interval_of_means(Bootstrap(TWOAFC, splits, 500, 0), credits_)
    widths = {name: high - low for name, (low, high) in interval.items()}
    assert widths["all"] < min(widths[name] for name in ("one", "three", "fives"))


def test_jnd_scores_and_intervals(tmp_path):
    split = packed(tmp_path, "cnn", JND)
    distance = np.random.default_rng(0).random(40)
    scores, interval = Bootstrap(JND, [split], 200, 0).scores([{"cnn": {"d": distance}}])
    assert scores["cnn"] == 100 * jnd_map(distance, split.votes)
    assert interval["cnn"][0] < scores["cnn"] < interval["cnn"][1]


def test_resamples_in_which_nobody_said_same_are_drawn_again(tmp_path):
    split = packed(tmp_path, "cnn", JND, count=6)
    votes = np.array([1, 0, 0, 0, 0, 0], np.float32)  # a third of all resamples of six have no first pair
    split = PackedSplit(split.path, split.card, {**split.arrays, "same": votes})
    bootstrap = Bootstrap(JND, [split], 1000, 0)
    assert 250 < bootstrap.resamples["cnn"].redrawn < 420  # (5/6)^6 = 33.5 %
    assert (bootstrap.resamples["cnn"].counts @ votes > 0).all()
    assert (bootstrap.resamples["cnn"].counts.sum(axis=1) == 6).all()
    # The pair is found first in every resample: no interval around that, least of all down to 0.
    scores, interval = bootstrap.scores([{"cnn": {"d": np.arange(6.0)}}])
    assert (scores["cnn"], interval["cnn"]) == (100, (100, 100))


def test_what_is_drawn_again_is_not_what_was_drawn_first():
    first = bootstrap_counts(20, 100, 3, "jnd/val/cnn")
    again = np.zeros_like(first)
    assert redraw_without(again, np.ones(20, bool), 3, "jnd/val/cnn") == 100
    assert not (again == first).all(axis=1).any()
    repeated = np.zeros_like(first)
    redraw_without(repeated, np.ones(20, bool), 3, "jnd/val/cnn")
    assert np.array_equal(repeated, again)


def test_resamples_of_votes_without_any_score_are_refused_rather_than_drawn_for_ever():
    with pytest.raises(ValueError, match="needed: expected at least one True"):
        redraw_without(np.ones((3, 20), np.int16), np.zeros(20, bool), 0, "jnd/val/cnn")


def test_resamples_that_a_score_can_take_are_left_as_they_are(tmp_path):
    split = packed(tmp_path, "cnn", JND)
    bootstrap = Bootstrap(JND, [split], 100, 3)
    assert not bootstrap.resamples["cnn"].redrawn
    assert np.array_equal(bootstrap.resamples["cnn"].counts, bootstrap_counts(40, 100, 3, "jnd/val/cnn"))


def test_difference_is_paired(tmp_path):
    """Two metrics that differ in one triplet of 40: the difference is 1/40, and never below zero in any resample."""
    judge = np.ones(40, np.float32)
    images = np.zeros((40, 64, 64, 3), np.uint8)
    card = {"kind": "2afc", "phase": "val", "split": "s", "dataset": "t", "resize": "exact", "observers": "human"}
    split = write_split(tmp_path / "s", {"ref": images, "p0": images, "p1": images, "judge": judge}, card)
    d0 = np.random.default_rng(0).random(40)
    one = {"s": {"d0": d0, "d1": np.full(40, 0.5)}}
    worst = d0.argmin()
    other = {"s": {"d0": np.where(np.arange(40) == worst, 0.9, d0), "d1": np.full(40, 0.5)}}
    rows = [Row("low-level", name) for name in ("one", "other")]
    for row, distances in zip(rows, (one, other), strict=True):
        add_scores(row, [distances], Bootstrap(TWOAFC, [split], 500, 0))
    scores, interval = difference_of_rows(rows[1], rows[0])
    np.testing.assert_allclose(scores["s"], 100 / 40)
    assert interval["s"][0] >= 0
    assert interval["s"][1] < 10
