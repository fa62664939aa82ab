"""Differences from a baseline, against values by hand, SciPy, another test and real judgments."""

import csv
import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from lpips_repro.datasets.packed import write_split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.protocols.jnd import JND, jnd_map, jnd_map_replicates
from lpips_repro.evaluation.protocols.twoafc import TWOAFC, human_credits, twoafc_credits
from lpips_repro.evaluation.tables.differences import check_baseline, differences_of, pairs_of, write_differences
from lpips_repro.evaluation.tables.sign_flip import DRAWS
from lpips_repro.evaluation.tables.table import Bootstrap, make_table
from tests.real_judgments import METHODS, SPLITS, distances_of, judge_of


def split_of(folder, name, votes, protocol=TWOAFC):
    """A packed split of these votes, whose images are never looked at."""
    arrays = {field: np.zeros((len(votes), 1, 1, 3), np.uint8) for field in protocol.images}
    card = {"kind": protocol.kind, "phase": "val", "split": name, "dataset": "t", "resize": "exact"}
    return write_split(folder / name, arrays | {protocol.vote: np.float32(votes)}, card | {"observers": "human"})


def table_of(tmp_path, splits, distances, protocol=TWOAFC, *, size=200, with_observers=False):
    """The table and the resamples of methods, given their distances: by label, then by split, (columns, N)."""
    methods = []
    for label, of_splits in distances.items():
        folder = tmp_path / f"distances-{label}"
        folder.mkdir()
        for name, values in of_splits.items():
            head = ",".join(("index", *protocol.distances))
            lines = [",".join(map(repr, (index, *map(float, row)))) for index, row in enumerate(np.transpose(values))]
            (folder / f"{protocol.kind}-val-{name}.csv").write_text("\n".join((head, *lines)))
        methods.append(Method("low-level", label, lambda engine, folder=folder: PrecomputedDistances(folder)))
    results = Results(Engine(torch.device("cpu")), DistanceStore(tmp_path / "store"), splits)
    results.add(methods)
    bootstrap = Bootstrap(protocol, splits, size, 0)
    return make_table(methods, splits, results, bootstrap, "", with_observers=with_observers), bootstrap


def found_of(*made, baseline=None):
    return {(one.label, one.split): one for one in differences_of(*made, baseline)}


def random_methods(names, count, seed=0, columns=2):
    rng = np.random.default_rng(seed)
    return {name: {"one": rng.random((columns, count))} for name in names}


def test_scores_intervals_and_p_of_one_split(tmp_path):
    votes = np.random.default_rng(1).integers(0, 6, 300) / 5
    split, distances = split_of(tmp_path, "one", votes), random_methods("ab", 300)
    made = table_of(tmp_path, [split], distances)
    (one, all_) = differences_of(*made, "a")
    credits_ = [twoafc_credits(*distances[name]["one"], split.votes) for name in "ab"]
    difference = credits_[1] - credits_[0]
    assert (one.kind, one.label, one.baseline, one.split, one.n) == ("2afc", "b", "a", "one", 300)
    assert one.difference == pytest.approx(100 * difference.mean())
    low, high = 100 * np.quantile(made[1].resamples["one"].counts @ difference / 300, (0.025, 0.975))
    assert (one.low, one.high) == pytest.approx((low, high))
    wanted = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=20_000, random_state=np.random.default_rng(1)
    )
    assert one.p == pytest.approx(wanted.pvalue, abs=0.01)  # three standard errors of 10,000 draws at p = .5
    assert (one.p_from, one.p_holm) == ("permutation", one.p)  # of one row
    assert dataclasses.replace(all_, split="one") == one


def test_the_average_flips_signs_within_splits_and_averages_the_splits(tmp_path):
    rng = np.random.default_rng(3)
    counts = {"cnn": 40, "color": 160}
    splits = [split_of(tmp_path, name, rng.integers(0, 6, count) / 5) for name, count in counts.items()]
    distances = {label: {name: rng.random((2, count)) for name, count in counts.items()} for label in "ab"}
    found = found_of(*table_of(tmp_path, splits, distances), baseline="a")
    by_split = [
        np.subtract(*(twoafc_credits(*distances[label][split.card["split"]], split.votes) for label in "ba"))
        for split in splits
    ]
    mean = np.mean([difference.mean() for difference in by_split])
    drawn = sum(rng.choice([-1, 1], (20_000, len(each))) @ each / len(each) / 2 for each in by_split)
    assert found["b", "all"].difference == pytest.approx(100 * mean)
    assert found["b", "all"].p == pytest.approx((np.abs(drawn) >= abs(mean) - 1e-12).mean(), abs=0.015)
    assert found["b", "all"].n == 200


def test_holm_adjusts_within_a_column_for_the_number_of_rows(tmp_path):
    votes = np.random.default_rng(1).integers(0, 6, 300) / 5
    made = table_of(tmp_path, [split_of(tmp_path, "one", votes)], random_methods("abcd", 300))
    of_column = sorted((one for one in differences_of(*made, "a") if one.split == "one"), key=lambda one: one.p)
    first, second, third = of_column
    assert first.p_holm == pytest.approx(min(1, 3 * first.p))
    assert second.p_holm == pytest.approx(min(1, max(3 * first.p, 2 * second.p)))
    assert third.p_holm == pytest.approx(min(1, max(second.p_holm, third.p)))


def test_the_best_row_is_the_baseline_by_default_and_observers_are_none(tmp_path):
    votes = np.random.default_rng(1).integers(0, 6, 100) / 5
    distances = random_methods("abc", 100)
    distances["c"]["one"] = np.stack([votes, 1 - votes])  # sides with the majority, as the oracle does
    found = found_of(*table_of(tmp_path, [split_of(tmp_path, "one", votes)], distances, with_observers=True))
    assert {one.baseline for one in found.values()} == {"c"}
    assert [*dict.fromkeys(label for label, _ in found)] == ["human", "oracle", "a", "b"]
    credits_ = human_credits(np.float32(votes)).mean() - np.maximum(votes, 1 - votes).mean()
    assert found["human", "one"].difference == pytest.approx(100 * credits_, abs=1e-4)  # votes are float32
    assert found["oracle", "one"].difference == pytest.approx(0, abs=1e-9)


def test_the_best_likelihood_is_the_least(tmp_path):
    votes = np.random.default_rng(1).integers(0, 6, 200) / 5
    distances = random_methods("ab", 200)
    distances["b"]["one"] = np.stack([votes, 1 - votes])
    protocol = PROTOCOLS["2afc-likelihood"]
    (one, _) = differences_of(*table_of(tmp_path, [split_of(tmp_path, "one", votes)], distances, protocol))
    assert (one.label, one.baseline, one.p_from) == ("a", "b", "normal")
    assert one.difference > 0.1 and one.p < 1e-6


@pytest.mark.parametrize("protocol", [TWOAFC, JND])
def test_methods_of_the_same_order_do_not_differ(tmp_path, protocol):
    votes = np.random.default_rng(1).integers(1, 6, 50) / 5
    distances = random_methods("a", 50, columns=len(protocol.distances))
    distances["twice"] = {"one": 2 * distances["a"]["one"]}
    (one, _) = differences_of(*table_of(tmp_path, [split_of(tmp_path, "one", votes, protocol)], distances, protocol))
    assert (one.label, one.difference, one.low, one.high, one.p, one.p_holm) == ("twice", 0, 0, 0, 1, 1)


@pytest.mark.parametrize("protocol", [TWOAFC, JND, PROTOCOLS["2afc-likelihood"]])
def test_one_example_shows_no_difference(tmp_path, protocol):
    distances = {"a": {"one": np.array([[0.0], [1.0]])}, "b": {"one": np.array([[1.0], [0.0]])}}
    distances = {label: {"one": of["one"][: len(protocol.distances)]} for label, of in distances.items()}
    (one, all_) = differences_of(*table_of(tmp_path, [split_of(tmp_path, "one", [0.2], protocol)], distances, protocol))
    assert one.p == all_.p == 1
    assert not np.isnan([one.difference, one.low, one.high]).any()


def test_rows_without_scores_are_left_out_and_a_baseline_without_any_is_reported(tmp_path, caplog):
    votes = np.random.default_rng(1).integers(0, 6, 30) / 5
    distances = random_methods("ab", 30) | {"absent": {}}
    made = table_of(tmp_path, [split_of(tmp_path, "one", votes)], distances)
    assert {one.label for one in differences_of(*made, "a")} == {"b"}
    assert differences_of(*made, "absent") == []
    assert "baseline=absent: no scores in the 2afc table: no differences there" in caplog.text


def test_one_row_or_none_gives_an_empty_file_with_its_columns(tmp_path):
    votes = np.random.default_rng(1).integers(0, 6, 30) / 5
    for name, distances in (("alone", random_methods("a", 30)), ("none", {"absent": {}})):
        made = table_of(tmp_path / name, [split_of(tmp_path / name, "one", votes)], distances)
        write_differences(tmp_path / "differences.csv", differences_of(*made))
        (line,) = (tmp_path / "differences.csv").read_text().splitlines()
        assert line == "kind,label,baseline,split,difference,low,high,p,p_holm,p_from,n,observers"


def test_numbers_in_the_file(tmp_path):
    votes = np.random.default_rng(1).integers(0, 6, 300) / 5
    made = table_of(tmp_path, [split_of(tmp_path, "one", votes)], random_methods("ab", 300))
    found = differences_of(*made, "a")
    write_differences(tmp_path / "differences.csv", found)
    with (tmp_path / "differences.csv").open(newline="") as file:
        first, _ = csv.DictReader(file)
    assert first["difference"] == f"{found[0].difference:.3f}"
    assert first["p"] == f"{found[0].p:.3g}"
    assert (first["n"], first["observers"]) == ("300", "human")


def test_a_misspelled_baseline_is_named_with_the_rows_there_are():
    methods = [Method("low-level", name, lambda engine: None) for name in ("ssim", "psnr")]
    check_baseline("ssim", methods)
    check_baseline(None, methods)
    with pytest.raises(UserError, match="baseline=sim: no such row: expected one of ssim, psnr: did you mean ssim"):
        check_baseline("sim", methods)


def test_votes_without_dissent_leave_no_number_that_is_none(tmp_path):
    """Observers have no score on such a split, so no difference there, nor in the average."""
    rng = np.random.default_rng(1)
    several = split_of(tmp_path, "one", rng.integers(0, 6, 30) / 5)
    single = split_of(tmp_path, "two", rng.integers(0, 2, 30))
    distances = {label: {name: rng.random((2, 30)) for name in ("one", "two")} for label in "ab"}
    found = found_of(*table_of(tmp_path, [several, single], distances, with_observers=True), baseline="a")
    assert {split for label, split in found if label == "human"} == {"one"}
    assert {split for label, split in found if label == "b"} == {"one", "two", "all"}
    assert not np.isnan([[one.difference, one.low, one.high, one.p, one.p_holm] for one in found.values()]).any()


def swapped_ranks(first, second, same, draws, rng):
    """p of the difference of two JND mAPs by a paired permutation: each pair's ranks change methods at random."""
    ranks = np.stack([stats.rankdata(first), stats.rankdata(second)])
    observed = jnd_map(ranks[0], same) - jnd_map(ranks[1], same)
    drawn = []
    for _ in range(draws):
        swap = rng.random(len(same)) < 0.5
        drawn.append(jnd_map(*(np.where(swap, ranks[1], ranks[0]), same)) - jnd_map(np.where(swap, *ranks), same))
    return (1 + (np.abs(drawn) >= abs(observed)).sum()) / (1 + draws)


@pytest.mark.parametrize(("seed", "noise"), [(1, 0.4), (2, 0.4)])
def test_p_of_a_jnd_map_is_near_that_of_a_permutation_of_ranks(tmp_path, seed, noise):
    """Another test of the same question: .04 for that, 1000 resamples and 300 draws; p is .03 and .17."""
    rng = np.random.default_rng(seed)
    same = rng.integers(0, 4, 400) / 3
    first = rng.random(400) - 0.5 * same
    second = first + noise * rng.random(400)
    split = split_of(tmp_path, "one", same, JND)
    (one, _) = differences_of(
        *table_of(tmp_path, [split], {"a": {"one": [first]}, "b": {"one": [second]}}, JND, size=1000), "a"
    )
    wanted = swapped_ranks(first, second, split.votes, 300, rng)
    assert one.p == pytest.approx(wanted, abs=0.04)
    assert one.p_from == "bootstrap"
    (score,) = jnd_map_replicates(second, split.votes, np.ones((1, 400), np.int64))
    assert one.difference == pytest.approx(100 * (score - jnd_map(first, split.votes)))


def test_three_methods_on_the_real_judgments(shared, tmp_path):
    splits = [split_of(tmp_path, name, judge_of(shared, name)) for name in SPLITS]
    distances = {label: distances_of(shared, label) for label in METHODS}
    table, bootstrap = table_of(tmp_path, splits, distances)
    assert {row.label: round(row.scores["all"], 2) for row in table.rows} == {
        "scratch": 70.04, "st-lpips-alex": 69.83, "st-lpips-vgg": 70.37
    }  # fmt: skip
    best = found_of(table, bootstrap)  # from st-lpips-vgg
    other = found_of(table, bootstrap, baseline="scratch")
    p = {key: best[key, "all"] for key in ("scratch", "st-lpips-alex")} | {"both": other["st-lpips-alex", "all"]}
    # Given to two digits; and three standard errors of 10,000 draws.
    for key, wanted in {"scratch": 0.012, "both": 0.10}.items():
        assert p[key].p == pytest.approx(wanted, abs=3 * np.sqrt(wanted / DRAWS) + 0.05 * wanted)
        assert p[key].p_from == "permutation"
    assert p["st-lpips-alex"].p == pytest.approx(5e-5, rel=0.1)
    assert p["st-lpips-alex"].p_from == "normal"
    assert p["st-lpips-alex"].p_holm == pytest.approx(2 * p["st-lpips-alex"].p)
    assert best["scratch", "all"].n == 36_344
    pairs = {(one.label, one.baseline, one.split): one for one in pairs_of(table, bootstrap)}
    assert len(pairs) == 3 * 9
    of_all = {names[:2]: one.p for names, one in pairs.items() if one.split == "all"}
    assert of_all["scratch", "st-lpips-vgg"] == p["scratch"].p
    assert of_all["scratch", "st-lpips-alex"] == p["both"].p
    assert of_all["st-lpips-alex", "st-lpips-vgg"] == p["st-lpips-alex"].p
    apart = table.rows[0].credits["frameinterp"] - table.rows[1].credits["frameinterp"]
    options = {"n_resamples": 20_000, "batch": 1000, "random_state": np.random.default_rng(1)}
    wanted = stats.permutation_test((apart,), np.mean, permutation_type="samples", **options)
    assert pairs["scratch", "st-lpips-alex", "frameinterp"].p == pytest.approx(wanted.pvalue, abs=0.01)  # it is .06
