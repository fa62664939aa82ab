"""How many files the numbers of a row pass on their way from a packed split to a CSV."""

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

import lpips_repro
from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.datasets.prepare import prepare
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.run import evaluate
from lpips_repro.evaluation.tables.table import Row, Table
from tests.compose import settings
from tests.datasets.folders import make_split

PACKAGE = str(Path(lpips_repro.__file__).parent)
COUNTED = ("datasets/packed", "metrics/", "evaluation/")
MOST = 9


def holds_numbers(value, depth=3):
    """Whether a value is, or holds, images, distances, votes or scores of a row."""
    if isinstance(value, Tensor | np.ndarray | Row | Table):
        return True
    if isinstance(value, dict):
        value = list(value.values())
    return depth > 0 and isinstance(value, list | tuple) and any(holds_numbers(one, depth - 1) for one in value)


class Way:
    """The files that count, with the functions that count in them.

    A function counts if it is handed the row's numbers, or hands them back. Not if it hands back the very object that
    it was handed, and not if it only raises errors: such functions are called check_... So what calls these parts one
    after the other, and looks at no number, does not count; nor does what writes text that it is handed.
    """

    def __init__(self):
        self.files = {}
        self._handed = {}

    def __call__(self, frame, event, result):
        file = frame.f_code.co_filename
        if event not in ("call", "return") or not file.startswith(PACKAGE):
            return
        name = Path(file).relative_to(PACKAGE).as_posix()
        if not name.startswith(COUNTED) or frame.f_code.co_name.lstrip("_").startswith("check_"):
            return
        if event == "call":
            arguments = inspect.getargvalues(frame)
            values = [frame.f_locals[key] for key in arguments.args if key in frame.f_locals]
            self._handed[id(frame)] = [*values, *frame.f_locals.get(arguments.varargs, ())]
            return
        handed = self._handed.pop(id(frame), [])
        is_same = any(result is value for value in handed) and result is not None
        if not is_same and (holds_numbers(result) or any(map(holds_numbers, handed))):
            self.files.setdefault(name, set()).add(frame.f_code.co_name)


@pytest.fixture
def way(tmp_path, monkeypatch):
    """The way of the row of l2-rgb in twoafc.csv; its CSV is written."""
    monkeypatch.delitem(PROTOCOLS, "2afc-likelihood")  # a table of its own
    monkeypatch.setattr("lpips_repro.evaluation.run.differences_of", lambda *_: [])  # a file of its own
    monkeypatch.setattr("lpips_repro.evaluation.run.shown_table", lambda *_: "")  # on the terminal
    monkeypatch.setattr("lpips_repro.evaluation.methods.metrics.TRIAL_SIZES", ())  # of random images, of no row
    make_split(tmp_path / "data", split="cnn", count=4)
    data = ("data=folder", f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", "data.workers=1")
    rest = ("metric=[l2_rgb]", "net=[]", "variant=[]", "bootstrap=5", "device=cpu", f"experiments={tmp_path}/e")
    composed = settings("evaluate", *data, *rest)
    prepare(parse(composed, EvaluateConfig).data, "val")  # the way begins at a split that is packed
    way = Way()
    before = sys.getprofile()
    sys.setprofile(way)
    try:
        evaluate(composed)
    finally:
        sys.setprofile(before)
    assert "l2-rgb" in (tmp_path / "e/tables-folder/twoafc.csv").read_text()
    return way


def test_a_row_passes_at_most_nine_files(way):
    assert len(way.files) <= MOST, way.files
    # Those that it cannot do without: a trace that sees nothing would be short, too.
    expected = {"metrics/l2.py", *(f"evaluation/{part}.py" for part in (
        *("distances/compute", "distances/results", "distances/store"),
        *("protocols/protocol", "protocols/twoafc", "tables/table", "tables/writer"),
    ))}  # fmt: skip
    assert expected <= way.files.keys()
    assert any(name.startswith("datasets/packed") for name in way.files)
