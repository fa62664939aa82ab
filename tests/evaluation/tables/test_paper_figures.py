"""Published figures as data."""

import csv

import pytest

from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.paper_figures import read_later
from tests.compose import CONFIGS

REFERENCE = CONFIGS.parent / "experiments/reference"
SPLITS = TWOAFC.averages["all"]


def test_later_figures_are_those_of_the_shared_file(shared):
    assert (REFERENCE / TWOAFC.later).read_bytes() == (shared / "reference" / TWOAFC.later).read_bytes()


def test_each_later_figure_has_a_source_and_is_a_percentage():
    rows = read_later(REFERENCE, TWOAFC)
    assert len(rows) == 28
    assert all(row.origin and row.group == "later" for row in rows)
    assert all(50 < score < 90 for row in rows for score in row.scores.values())


def test_published_means_are_those_of_the_published_splits():
    """Which shows that columns were not exchanged; they are rounded to .01, in one row to .1."""
    with (REFERENCE / TWOAFC.later).open(newline="") as file:
        whole = [line for line in csv.DictReader(file) if all(line[split] for split in SPLITS)]
    assert len(whole) == 17
    for line in whole:
        assert float(line["all"]) == pytest.approx(sum(float(line[split]) for split in SPLITS) / 6, abs=0.02)


def test_averages_that_were_not_published_are_those_of_the_splits_if_all_are_there():
    rows = {row.method: row.scores for row in read_later(REFERENCE, TWOAFC)}
    assert rows["st-lpips-vgg"]["distortions"] == pytest.approx((78.83 + 83.53) / 2)
    assert rows["latentlpips-flux"].keys() == {"traditional", "cnn", "distortions"}
    assert rows["resnet-6"] == {"all": 69.1}


def test_no_other_protocol_has_later_figures():
    assert [protocol.name for protocol in PROTOCOLS.values() if read_later(REFERENCE, protocol)] == ["2afc"]
    assert read_later(REFERENCE, JND) == []
