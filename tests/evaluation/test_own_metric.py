"""A metric is one Python file and one YAML."""

import csv

import numpy as np
import pytest

from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.evaluation.protocols.twoafc import twoafc_score
from lpips_repro.evaluation.run import evaluate
from lpips_repro.metrics import METRICS
from lpips_repro.modules import import_file
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split

SIMILARITY = """
from lpips_repro.metrics import register_metric


@register_metric(to_distance=lambda value: -value)
def similarity(x, y, power=1.0):
    return -(x - y).abs().mean(dim=(1, 2, 3)) ** power
"""
YAML = """
mine:
  function: similarity
  module: {folder}/similarity.py
  settings: {{power: 2.0}}
"""


@pytest.fixture
def own(tmp_path) -> list[str]:
    """Overrides that choose a metric that is two files in a folder."""
    (tmp_path / "own/metric").mkdir(parents=True)
    (tmp_path / "own/similarity.py").write_text(SIMILARITY)
    (tmp_path / "own/metric/mine.yaml").write_text(YAML.format(folder=tmp_path / "own"))
    yield [f"hydra.searchpath=[file://{tmp_path}/own]", "metric=[mine]", "net=[]", "trained_on=null", "device=cpu"]
    METRICS.pop("similarity", None)


def test_a_metric_is_one_python_file_and_one_yaml(own, tmp_path):
    _, images, votes = make_split(tmp_path / "data", split="noise", count=12)
    places = [f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", f"experiments={tmp_path}/out"]
    evaluate(settings("evaluate", "data=folder", *own, *places, f"reference={CONFIGS.parent}/experiments/reference"))
    with (tmp_path / "out/tables-folder/twoafc.csv").open(newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["method"] == "mine"]
    maps = {name: images[name] / 255 for name in images}
    d0, d1 = (np.abs(maps["ref"] - maps[name]).mean(axis=(1, 2, 3)) ** 2 for name in ("p0", "p1"))
    assert row["noise"] == f"{100 * twoafc_score(d0, d1, votes):.2f}"
    assert row["note"] == ""


def test_a_file_that_is_not_there_is_named(own, tmp_path):
    (tmp_path / "own/similarity.py").unlink()
    with pytest.raises(UserError, match=r"own/similarity.py: no such file: set `module` of a metric to the Python"):
        parse(settings("evaluate", *own), EvaluateConfig)


def test_a_function_that_the_file_does_not_register_is_refused(own):
    cfg = parse(settings("evaluate", *own, "metric.mine.function=similarty"), EvaluateConfig)
    with pytest.raises(UserError, match=r"metric.mine.function='similarty': .*did you mean similarity"):
        list_methods(cfg)


def test_a_metric_that_changes_its_images_leaves_those_of_the_others_alone(own, tmp_path):
    zeroes = SIMILARITY.replace("    return", "    x.zero_(), y.zero_()\n    return")
    (tmp_path / "own/similarity.py").write_text(zeroes)
    make_split(tmp_path / "data", split="noise", count=12)
    places = [f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed"]
    scores = []
    for metrics in ("mine,l2_rgb,ssim", "l2_rgb,ssim"):
        out = tmp_path / metrics.replace(",", "-")
        words = ["data=folder", *own, *places, f"experiments={out}", f"metric=[{metrics}]"]
        evaluate(settings("evaluate", *words, f"reference={CONFIGS.parent}/experiments/reference"))
        with (out / "tables-folder/twoafc.csv").open(newline="") as file:
            scores.append({row["label"]: row["noise"] for row in csv.DictReader(file) if row["group"] == "low-level"})
    assert scores[0].pop("mine") == "50.00"
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import no_such_package\n", "line 1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1\ndef (\n", "line 2: SyntaxError"),
        ("import sys\n\nsys.exit(3)\n", "line 3: SystemExit: 3"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line_that_names_file_and_line(tmp_path, text, what):
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(UserError, match=f"^{file}, {what}") as error:
        import_file(file, "metric")
    assert "\n" not in str(error.value)


def test_a_metric_that_ends_the_program_is_a_row_with_the_reason(own, tmp_path):
    (tmp_path / "own/similarity.py").write_text(SIMILARITY.replace("    return", "    raise SystemExit(3)\n    return"))
    make_split(tmp_path / "data", split="noise", count=12)
    places = [f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", f"experiments={tmp_path}/out"]
    words = ["data=folder", *own, *places, "metric=[mine,l2_rgb]"]
    evaluate(settings("evaluate", *words, f"reference={CONFIGS.parent}/experiments/reference"))
    with (tmp_path / "out/tables-folder/twoafc.csv").open(newline="") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert rows["mine"]["noise"] == "" and "SystemExit: 3" in rows["mine"]["note"]
    assert rows["l2-rgb"]["noise"] != ""
