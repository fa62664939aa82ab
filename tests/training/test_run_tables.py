"""The tables of a finished run."""

import csv

import numpy as np
import pytest

from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.training.run import train
from lpips_repro.training.run_tables import _words_of
from tests.compose import settings
from tests.datasets.folders import make_split


def test_a_split_in_which_nobody_said_same_is_left_out_of_a_runs_tables(tmp_path, caplog):
    for phase in ("train", "val"):
        make_split(tmp_path / "data", phase=phase, count=4)
    folder, _, _ = make_split(tmp_path / "data", kind="jnd", count=2)
    make_split(tmp_path / "data", kind="jnd", split="other", count=4, seed=1)
    for file in (folder / "same").iterdir():
        np.save(file, np.zeros(1, np.float32))
    where = (f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", f"experiments={tmp_path}/experiments")
    short = ("trainer.epochs=1", "trainer.decay_epochs=0", "bootstrap=20", "device=cpu", "download=false")
    more = ("data=folder", "net=alex", "net.alex.init=gaussian", f"features={tmp_path}/features", "data.workers=1")
    train(settings("train", *more, *where, *short))
    assert "jnd/val/cnn: nobody answered 'same' to any pair, so its mAP is undefined: left out" in caplog.text
    (table,) = (tmp_path / "experiments").glob("folder-*/jnd.csv")
    with table.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 2 and "cnn" not in rows[0]
    assert rows[1]["other"] == rows[1]["all"] != ""


@pytest.mark.parametrize(("protocol", "better"), [("2afc", "positive"), ("2afc-likelihood", "negative")])
def test_a_difference_says_which_sign_is_better(protocol, better):
    words = _words_of(({"all": 0.01}, {"all": (-0.02, 0.03)}), PROTOCOLS[protocol])
    assert f"difference in all: +0.01{'00' * (protocol != '2afc')} ({better} is better), 95 % interval" in words
