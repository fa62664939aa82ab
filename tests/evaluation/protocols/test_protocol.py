import csv
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD
from lpips_repro.errors import UserError
from lpips_repro.evaluation import protocols
from lpips_repro.evaluation.protocols import PROTOCOLS, Protocol, import_protocols, protocol_of, register_protocol
from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.run import evaluate
from lpips_repro.evaluation.tables.paper_figures import read_paper
from tests.compose import CONFIGS, settings
from tests.datasets import folders
from tests.datasets.folders import make_split

SPLITS = ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")


def test_columns_are_the_papers_in_its_order():
    expected = ("traditional", "cnn", "distortions", "superres", "deblur", "color", "frameinterp", "real", "all")
    assert TWOAFC.columns(SPLITS[::-1]) == expected
    assert JND.columns(("cnn", "traditional")) == ("traditional", "cnn", "all")


def test_other_splits_are_followed_by_their_mean():
    assert TWOAFC.columns(("mine", "cnn")) == ("cnn", "mine", "all")
    assert TWOAFC.add_averages({"mine": 0.5, "cnn": 0.7}) == pytest.approx({"cnn": 0.7, "mine": 0.5, "all": 0.6})
    assert TWOAFC.add_averages({"mine": 5, "cnn": 7}, sum) == {"cnn": 7, "mine": 5, "all": 12}


def test_averages_of_the_papers_rows_are_the_papers():
    # The paper rounds to one decimal after averaging, and the splits before: 0.05 + 0.05.
    published = read_paper(CONFIGS.parent / "experiments" / "reference", TWOAFC)
    assert len(published) == 23
    for scores in published.values():
        found = TWOAFC.add_averages({split: scores[split] for split in SPLITS})
        for column in ("distortions", "real", "all"):
            assert found[column] == pytest.approx(scores[column], abs=0.1001)


def test_jnd_figures_are_in_the_column_all():
    published = read_paper(CONFIGS.parent / "experiments" / "reference", JND)
    assert published["vgg", "lin"] == {"all": 61.0}


def test_a_name_that_is_taken_is_an_error():
    class Other(type(JND)):
        pass

    with pytest.raises(UserError, match="protocol 'jnd' is already registered: give yours another name"):
        register_protocol(Other)
    assert PROTOCOLS["jnd"] is JND


def test_two_protocols_of_one_kind_agree_on_its_fields():
    class Other(type(JND)):
        name, kind, images, vote = "other", "2afc", ("p0", "p1"), "judge"

    with pytest.raises(ValueError, match="splits of kind 2afc have the fields"):
        register_protocol(Other)
    assert "other" not in PROTOCOLS


def test_a_split_of_a_kind_that_no_protocol_has_is_refused():
    split = SimpleNamespace(name="ranks/val/mine", card={"kind": "ranks"})
    with pytest.raises(UserError, match="ranks/val/mine: kind='ranks': expected one of 2afc, jnd, mos"):
        protocol_of(split)


# Which of three is the odd one out? And a second score of 2AFC.
TWO_PROTOCOLS = """
import numpy as np

from lpips_repro.evaluation.protocols import Distances, register_protocol
from lpips_repro.evaluation.protocols.protocol import MeanProtocol
from lpips_repro.evaluation.protocols.twoafc import TwoAFC


@register_protocol
class Odd(MeanProtocol):
    name = kind = "odd"
    title = "Odd one out (permille)"
    file = "odd_one_out"
    images = ("first", "second", "third", "fourth")
    vote = "last"
    distances = ("d1", "d2", "d3")
    scale = 1000
    decimals = 1

    def credits(self, distances, votes):
        return np.where(distances["d3"] > np.maximum(distances["d1"], distances["d2"]), votes, 1 - votes)


@register_protocol
class First(TwoAFC):
    name = "2afc-first"
    title = "Of the first judges"
    file = "first"
    paper = ""

    def credits(self, distances, votes):
        return super().credits(distances, np.round(votes))
"""


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """The file above as one of the package's, until the end of the test."""
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols/odd.py").write_text(TWO_PROTOCOLS)
    registries = (PROTOCOLS, IMAGE_FIELDS, VOTE_FIELD)
    before = [dict(registry) for registry in registries]
    monkeypatch.setattr(protocols, "__path__", [*protocols.__path__, str(tmp_path / "protocols")])
    import_protocols()
    monkeypatch.setattr(folders, "FIELDS", IMAGE_FIELDS)
    monkeypatch.setattr(folders, "VOTE", VOTE_FIELD)
    yield
    del sys.modules[f"{protocols.__name__}.odd"]
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)


def table(folder, name):
    with (folder / f"experiments/tables-folder/{name}.csv").open(newline="") as file:
        return {row["label"]: row for row in csv.DictReader(file)}


def test_a_protocol_takes_one_file(tmp_path, own_file, capsys):
    make_split(tmp_path / "data", kind="odd", split="mine", count=12)
    make_split(tmp_path / "data", split="cnn", count=5)
    words = ("metric=[l2_rgb,ssim]", "net=[]", "bootstrap=50", "device=cpu", f"reference={CONFIGS.parent}/x")
    where = (f"experiments={tmp_path}/experiments", f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed")
    evaluate(settings("evaluate", "data=folder", *words, *where))
    (stored,) = (tmp_path / "experiments/distances").rglob("odd-val-mine/l2-rgb-*.csv")
    header, *lines = stored.read_text().splitlines()
    assert header == "index,d1,d2,d3,last"
    _, *distances, votes = np.array([line.split(",") for line in lines], float).T
    scores = np.where(distances[2] > np.maximum(*distances[:2]), votes, 1 - votes)
    row = table(tmp_path, "odd_one_out")["l2-rgb"]
    assert row["mine"] == row["all"] == f"{1000 * scores.mean():.1f}"
    assert float(row["all_lo"]) <= float(row["all"]) <= float(row["all_hi"])
    assert "Odd one out (permille)" in capsys.readouterr().out
    assert table(tmp_path, "first").keys() == table(tmp_path, "twoafc").keys() >= {"oracle", "l2-rgb", "ssim"}
    assert {row["kind"] for row in read_long(tmp_path)} >= {"2afc", "odd", "2afc-first"}


def read_long(folder):
    with (folder / "experiments/tables-folder/scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("protocol", [TWOAFC, JND])
def test_a_protocol_that_defines_its_score_alone_has_its_replicates(protocol):
    rng = np.random.default_rng(0)
    votes, counts = rng.integers(1, 6, 30) / 5, rng.multinomial(30, np.full(30, 1 / 30), 20)
    distances = {name: rng.random(30) for name in protocol.distances}
    by_score = Protocol.replicates(protocol, distances, votes, counts)
    np.testing.assert_allclose(by_score, protocol.replicates(distances, votes, counts), atol=1e-12)


def test_a_protocol_without_a_score_is_refused_where_it_is_registered():
    class Scoreless(Protocol):
        name = "scoreless"

    with pytest.raises(TypeError, match="score"):
        register_protocol(Scoreless)
    assert "scoreless" not in PROTOCOLS


def test_an_interval_is_shown_as_the_csv_has_it():
    # The CSV has 67.75, and whoever reads it shows 67.8.
    assert TWOAFC.interval_text(67.7496, 70.62) == "67.8–70.6"
