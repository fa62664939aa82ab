"""Metrics of other libraries as rows of the tables."""

import csv
import sys

import pytest
import torch

from lpips_repro.config import EvaluateConfig, MetricConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.methods.metrics import metric_method
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.evaluation.protocols.twoafc import twoafc_score
from lpips_repro.evaluation.run import evaluate
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split

CPU = Engine(torch.device("cpu"))
YAML = """
narrow:
  function: piq/ssim
  settings: {kernel_size: 7}
"""


def table(tmp_path, *words) -> dict[str, dict[str, str]]:
    """The rows of a table of a small split by label."""
    places = [f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", f"experiments={tmp_path}/out"]
    words = ["data=folder", "net=[]", "trained_on=null", "device=cpu", *words]
    evaluate(settings("evaluate", *words, *places, f"reference={CONFIGS.parent}/experiments/reference"))
    with (tmp_path / "out/tables-folder/twoafc.csv").open(newline="") as file:
        return {row["label"]: row for row in csv.DictReader(file)}


def test_a_library_metric_is_a_row_by_its_name_alone_or_by_one_yaml(tmp_path):
    piq = pytest.importorskip("piq")
    _, images, votes = make_split(tmp_path / "data", split="noise", count=12)
    (tmp_path / "own/metric").mkdir(parents=True)
    (tmp_path / "own/metric/narrow.yaml").write_text(YAML)
    rows = table(tmp_path, "metric=[piq/mdsi,narrow]", f"hydra.searchpath=[file://{tmp_path}/own]")
    ref, p0, p1 = (torch.from_numpy(images[name]).permute(0, 3, 1, 2) / 255 for name in ("ref", "p0", "p1"))
    mdsi = (piq.mdsi(other, ref, reduction="none").numpy() for other in (p0, p1))
    ssim = (1 - piq.ssim(other, ref, kernel_size=7, reduction="none").numpy() for other in (p0, p1))
    for label, (d0, d1) in (("piq-mdsi", mdsi), ("narrow", ssim)):
        assert rows[label]["noise"] == f"{100 * twoafc_score(d0, d1, votes):.2f}"
        assert rows[label]["note"] == ""
    assert float(rows["piq-mdsi"]["noise"]) != 50


def test_a_library_that_is_not_installed_and_images_that_are_too_small_are_rows_with_the_reason(tmp_path, monkeypatch):
    pytest.importorskip("piq")
    for module in [module for module in sys.modules if module.startswith("torchmetrics")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    make_split(tmp_path / "data", split="noise", count=12)
    missing, large = "torchmetrics/visual_information_fidelity", "piq/multi_scale_ssim"
    rows = table(tmp_path, f"metric=[{missing},{large},piq/mdsi]")
    assert "torchmetrics is not installed: run pip install" in rows[missing.replace("/", "-")]["note"]
    assert "at least 161 pixels per side: these images are 64x64" in rows[large.replace("/", "-")]["note"]
    assert rows["piq-mdsi"]["noise"] != ""


def test_its_identity_has_the_version_of_the_library(monkeypatch):
    pytest.importorskip("piq")
    config = MetricConfig(function="piq/mdsi", settings={"combination": "mult"})
    before = metric_method("mdsi", config).build(CPU).identity
    assert before["function"] == "piq/mdsi" and before["libraries"]["piq"] == "0.8.0"
    assert before["settings"] == {"reduction": "none", "combination": "mult"}
    monkeypatch.setattr("lpips_repro.provenance.installed_version", lambda name: "0.9.1" if name == "piq" else "1")
    assert metric_method("mdsi", config).build(CPU).identity["libraries"]["piq"] == "0.9.1"


def test_a_name_that_the_library_does_not_have_is_refused_before_any_work():
    with pytest.raises(UserError, match=r"piq/msdi: no such metric of piq.*did you mean mdsi"):
        list_methods(parse(settings("evaluate", "metric=[piq/msdi]", "net=[]"), EvaluateConfig))


def test_a_row_may_not_change_the_images_of_the_others():
    piq = pytest.importorskip("piq")

    def spoils(x, y, reduction):
        x.zero_(), y.zero_()
        return torch.zeros(len(x))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(piq, "mdsi", spoils)
        distance = metric_method("mdsi", MetricConfig(function="piq/mdsi")).build(CPU)
    images = torch.full((2, 3, 64, 64), 0.5)
    distance.measure(images, images)
    assert (images == 0.5).all()
