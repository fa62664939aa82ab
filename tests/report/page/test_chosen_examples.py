"""Selection of examples with images and maps."""

from pathlib import Path

import numpy as np
import pytest

from lpips_repro.config import Images
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.errors import UserError
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.report.page.chosen_examples import choose
from lpips_repro.report.page.examples import Examples, single_precision

# Example 0: both methods agree with all judges; 1: both are against all judges; 2: both are against most judges;
# 3: methods differ, all judges agree; 4: methods differ, judges are divided; 5: one method is against all judges.
VOTES = [0, 1, 0.8, 1, 0.6, 0]
FIRST = [0, 0, 0, 1, 1, 1]  # the image that each method chooses
SECOND = [0, 0, 0, 0, 0, 0]


def examples(votes=VOTES, answers=(FIRST, SECOND), repeats=1):
    votes = np.float32(votes * repeats)
    card = {"kind": "2afc", "phase": "val", "split": "one", "count": len(votes), "digest": "0"}
    split = PackedSplit(Path("one"), card, {"judge": votes})
    pairs = []
    for each in answers:
        chosen = np.array(each * repeats, float)
        pairs.append((Row("", f"m{len(pairs)}"), {split.name: (chosen, 1 - chosen)}))
    return Examples([split], pairs)


def test_most_disputed_come_first_then_unanimous_misses_then_a_random_share():
    found = choose(examples(), Images.selected, 3, 0, []).images["2afc/val/one"]
    assert {1, 3} < {*found}  # 3: the clearest disagreement; 1: a miss of both methods
    assert len(found) == 3
    by_rule = choose(examples(repeats=100), Images.selected, 300, 0, []).images["2afc/val/one"] % 6
    counts = np.bincount(by_rule, minlength=6)
    assert counts[3] + counts[5] >= 100 and counts[1] >= 100 and counts[[0, 2, 4]].sum() > 20


def test_the_selection_is_reproducible_and_has_the_requested_size():
    one, two = (choose(examples(repeats=50), Images.selected, 100, 0, []).images["2afc/val/one"] for _ in "ab")
    assert np.array_equal(one, two) and len(one) == len(set(one.tolist())) == 100


def test_disputed_and_missed_examples_with_images_have_maps():
    found = choose(examples(), Images.selected, 1, 2, [])
    assert found.maps["2afc/val/one"].tolist() == [1, 3]
    assert set(found.maps["2afc/val/one"]) <= set(found.images["2afc/val/one"])


def test_a_named_example_has_images_and_maps():
    found = choose(examples(), Images.selected, 1, 0, ["one/4"])
    assert 4 in found.images["2afc/val/one"] and found.maps["2afc/val/one"].tolist() == [4]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one/6", "report.examples=one/6: expected an index from 0 to 5"),
        ("one/-1", "report.examples=one/-1: expected an index from 0 to 5"),
        ("two/1", "report.examples=two/1: expected SPLIT/INDEX: expected one of one"),
        ("3", "report.examples=3: expected SPLIT/INDEX"),
    ],
)
def test_a_name_of_no_example_is_an_error(name, message):
    with pytest.raises(UserError, match=message):
        choose(examples(), Images.selected, 1, 0, [name])


def test_all_examples_or_only_named_ones_have_images():
    assert choose(examples(), Images.all, 1, 0, []).images["2afc/val/one"].tolist() == [*range(6)]
    assert choose(examples(), Images.none, 1, 2, []).images["2afc/val/one"].tolist() == []
    assert choose(examples(), Images.none, 1, 2, ["one/4"]).images["2afc/val/one"].tolist() == [4]


def test_verdicts_are_the_same_in_single_precision():
    rng = np.random.default_rng(0)
    d0 = rng.normal(size=1000)
    d1 = d0 + rng.integers(-2, 3, 1000) * 1e-13  # differences that float32 cannot represent
    first, second = single_precision(d0, d1)
    assert np.array_equal(np.sign(second.astype(float) - first), np.sign(d1 - d0))
    assert np.allclose(second, d1, rtol=3e-7, atol=1e-30)
