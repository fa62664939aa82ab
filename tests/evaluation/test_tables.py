import re
from html import unescape

import markdown
import numpy as np

from lpips_repro.datasets.packed import PackedSplit, write_split
from lpips_repro.evaluation.scores import bootstrap_counts, human_twoafc, jnd_map, oracle_twoafc
from lpips_repro.evaluation.tables import Bootstrap, Row, observer_rows
from lpips_repro.evaluation.write import terminal_table, write_tables


def packed(tmp_path, split, kind="2afc", count=40, observers="human"):
    rng = np.random.default_rng(len(split))
    fields, vote = (("ref", "p0", "p1"), "judge") if kind == "2afc" else (("p0", "p1"), "same")
    arrays = {name: np.zeros((count, 64, 64, 3), np.uint8) for name in fields}
    arrays[vote] = (rng.integers(0, 6, count) / 5).astype(np.float32)
    card = {"kind": kind, "phase": "val", "split": split, "dataset": "t", "resize": "exact", "observers": observers}
    return write_split(tmp_path / split, arrays, card)


def test_observer_rows_are_the_human_and_oracle_scores_in_percent(tmp_path):
    splits = [packed(tmp_path, "one"), packed(tmp_path, "three", count=17)]
    human, oracle = observer_rows(splits, Bootstrap(splits, 50, 0), "")
    for split in splits:
        assert human.scores[split.card["split"]] == 100 * human_twoafc(split.votes)
        assert oracle.scores[split.card["split"]] == 100 * oracle_twoafc(split.votes)
    assert human.scores["all"] == (human.scores["one"] + human.scores["three"]) / 2


def test_the_simulated_observer_is_never_called_human(tmp_path):
    splits = [packed(tmp_path, "one", observers="simulated")]
    assert [row.method for row in observer_rows(splits, Bootstrap(splits, 50, 0), "")] == [
        "simulated-observer",
        "oracle",
    ]


def test_intervals_are_paired_a_better_metric_everywhere_is_better_in_every_resample(tmp_path):
    splits = [packed(tmp_path, "one")]
    bootstrap = Bootstrap(splits, 200, 0)
    judge = splits[0].votes.astype(float)
    _, (low, high) = bootstrap.means({"one": judge})[1].popitem()
    _, (better_low, better_high) = bootstrap.means({"one": judge + 0.01})[1].popitem()
    np.testing.assert_allclose((better_low - low, better_high - high), 1.0)


def test_average_interval_is_narrower_than_that_of_its_splits(tmp_path):
    splits = [packed(tmp_path, name, count=200) for name in ("one", "three", "fives")]
    _, interval = Bootstrap(splits, 500, 0).means({s.card["split"]: s.votes.astype(float) for s in splits})
    widths = {name: high - low for name, (low, high) in interval.items()}
    assert widths["all"] < min(widths[name] for name in ("one", "three", "fives"))


def test_jnd_scores_and_intervals(tmp_path):
    split = packed(tmp_path, "cnn", "jnd")
    distance = np.random.default_rng(0).random(40)
    scores, interval = Bootstrap([split], 200, 0).jnd([{"cnn": {"d": distance}}], {"cnn": split.votes})
    assert scores["cnn"] == 100 * jnd_map(distance, split.votes)
    assert interval["cnn"][0] < scores["cnn"] < interval["cnn"][1]


def test_resamples_in_which_nobody_said_same_are_drawn_again(tmp_path):
    split = packed(tmp_path, "cnn", "jnd", count=6)
    votes = np.array([1, 0, 0, 0, 0, 0], np.float32)  # a third of all resamples of six have no first pair
    split = PackedSplit(split.path, split.card, {**split.arrays, "same": votes})
    bootstrap = Bootstrap([split], 1000, 0)
    assert 250 < bootstrap.redrawn["jnd/val/cnn"] < 420  # (5/6)^6 = 33.5 %
    assert (bootstrap.counts["cnn"] @ votes > 0).all()
    assert (bootstrap.counts["cnn"].sum(axis=1) == 6).all()
    # The pair is found first in every resample: no interval around that, least of all down to 0.
    scores, interval = bootstrap.jnd([{"cnn": {"d": np.arange(6.0)}}], {"cnn": votes})
    assert (scores["cnn"], interval["cnn"]) == (100, (100, 100))


def test_resamples_that_a_score_can_take_are_left_as_they_are(tmp_path):
    split = packed(tmp_path, "cnn", "jnd")
    bootstrap = Bootstrap([split], 100, 3)
    assert not bootstrap.redrawn
    assert np.array_equal(bootstrap.counts["cnn"], bootstrap_counts(40, 100, 3, "jnd/val/cnn"))


def test_paper_column_and_difference_are_shown(tmp_path):
    row = Row("low-level", "l2_x", scores={"all": 64.0}, interval={"all": (63.0, 65.0)}, paper={"all": 63.2})
    row.observers = "human"
    text = terminal_table("2afc", [row], ("all",), with_paper=True)
    assert "63.2" in text
    assert "+0.80" in text
    csv_file, _, tex = write_tables(tmp_path, "2afc", [row], ("all",), with_paper=True)
    assert "63.2,+0.80,human" in csv_file.read_text()
    assert r"l2\_x" in tex.read_text()


SPECIAL = r"a&b 50% $x #1 l2_x ~^ {c} \d | <e> *f* `g` [h]"


def test_names_are_shown_as_they_are_in_latex_and_markdown(tmp_path):
    row = Row("low-level", SPECIAL, scores={"my_split": 64.0, "all": 64.0}, observers="human")
    row.interval = {"my_split": (63.0, 65.0), "all": (63.0, 65.0)}
    missing = Row("low-level", "other|one", note="not run: run `make x_y | z` for <this>\nnow", observers="human")
    _, text, tex = write_tables(tmp_path, "2afc", [row, missing], ("my_split", "all"), with_paper=False)
    html = markdown.markdown(text.read_text(), extensions=["tables", "sane_lists"])
    cells = [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", html)]
    assert cells[:4] == ["group", "method", "my_split", "all"]
    assert cells[5] == SPECIAL
    assert cells[9] == "other|one"
    assert "<li>other|one: not run: run <code>make x_y | z</code> for <this> now</li>" in unescape(html)
    text = tex.read_text()
    assert r"a\&b 50\% \$x \#1 l2\_x \textasciitilde{}\^{} \{c\} \textbackslash{}d \textbar{} " in text
    assert r"\ensuremath{<}e\ensuremath{>} *f*" in text
    assert r"my\_split" in text
    assert all(line.startswith("%") for line in text.splitlines() if "not run" in line or line == "now")
