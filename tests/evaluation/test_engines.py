"""The tables on other engines: several processes, bfloat16, compiled."""

import csv
import json

import pytest
import torch

from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.devices import one_thread
from lpips_repro.evaluation.run import COMPILE_FROM, compiled_for, evaluate
from lpips_repro.metrics import METRICS
from tests.compose import settings
from tests.datasets.folders import make_split
from tests.processes import as_ranks, call, torchrun

ROWS = ("net=[alex_gaussian]", "variant=[off_the_shelf]", "metric=[l2_rgb,ssim]", "bootstrap=10", "batch_size=4")


@pytest.fixture
def words(tmp_path):
    """Settings of a table on a small dataset: 23 triplets and 11 pairs."""
    make_split(tmp_path / "data", count=23)
    make_split(tmp_path / "data", kind="jnd", count=11, seed=1)
    common = ("data=folder", f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", "data.workers=1")
    return (*common, "device=cpu", "download=false", *ROWS)


def tables(folder):
    """Bytes of the tables, and of the distances by file."""
    files = [*(folder / "tables-folder").glob("*.csv"), *(folder / "distances").rglob("*.csv")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.parametrize("how", ["two forks", pytest.param("three by torchrun", marks=pytest.mark.slow)])
def test_several_processes_write_the_tables_of_one(tmp_path, words, how):
    with one_thread():  # as torchrun gives its processes
        evaluate(settings("evaluate", *words, f"experiments={tmp_path}/one"))
    several = (*words, f"experiments={tmp_path}/several")
    if how == "two forks":
        output = as_ranks(2, tmp_path / "output", evaluate, settings("evaluate", *several))
    else:
        output = call(*torchrun(3, "scripts/evaluate.py", *several))
    assert output.count("2AFC score (%)") == 1
    assert tables(tmp_path / "several") == tables(tmp_path / "one")


def test_dtype_and_compilation_are_named_in_the_table_and_kept_apart(tmp_path, words):
    ways = ((), ("dtype=bfloat16",), ("compile=true", "net=[]"))
    for way in ways:
        evaluate(settings("evaluate", *words, f"experiments={tmp_path}/e", *way))
        with (tmp_path / "e/tables-folder/twoafc.csv").open(newline="") as file:
            rows = {row["method"]: json.loads(row["settings"]) for row in csv.DictReader(file)}
        network = rows.get("alex-gaussian", {})
        assert (network.get("dtype") == "bfloat16") == ("dtype=bfloat16" in way)
        assert rows["l2-rgb"]["dtype"] == "float32"
        assert "compiled" not in rows["l2-rgb"]
        assert rows["ssim"].get("compiled", False) == ("compile=true" in way)
    assert len([*(tmp_path / "e/distances").rglob("alex*.csv")]) == 2 * 2 * 2  # splits, versions, dtypes
    assert len([*(tmp_path / "e/distances").rglob("ssim*.csv")]) == 2 * 2


class Examples(list):
    """A split of so many examples of one size."""

    pixels = 64 * 64

    def __init__(self, count):
        super().__init__([None] * count)


def test_compilation_waits_for_data_that_are_worth_it(monkeypatch):
    monkeypatch.setattr("lpips_repro.evaluation.run.why_not", lambda device: None)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")

    def compiled(examples, device=cpu, *overrides):
        return compiled_for(parse(settings("evaluate", *overrides), EvaluateConfig), device, [Examples(examples)])

    assert compiled(COMPILE_FROM)
    assert not compiled(COMPILE_FROM - 1)
    assert not compiled(COMPILE_FROM, cuda)
    assert compiled(1, cpu, "compile=true")
    assert not compiled(COMPILE_FROM, cpu, "compile=false")


def test_without_a_compiler_the_automatic_choice_continues_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr("lpips_repro.evaluation.run.why_not", lambda device: "no compiler")
    cfg = parse(settings("evaluate"), EvaluateConfig)
    assert not compiled_for(cfg, torch.device("cpu"), [Examples(COMPILE_FROM)])
    assert "not compiled, although 20000 examples would be faster compiled: no compiler" in caplog.text


def test_a_broken_metric_costs_no_other_ones_distances(tmp_path, words, monkeypatch):
    monkeypatch.setitem(METRICS, "psnr", METRICS["psnr"]._replace(to_distance=lambda value: value * torch.nan))
    evaluate(settings("evaluate", *words, f"experiments={tmp_path}/e", "metric=[l2_rgb,psnr]", "net=[]"))
    with (tmp_path / "e/tables-folder/twoafc.csv").open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert rows["l2-rgb"]["all"] != ""
    assert rows["psnr"]["all"] == ""
    assert rows["psnr"]["note"] == "not run: on 2afc/val/cnn: the distance of example 000000 is NaN"
    assert [*(tmp_path / "e/distances").rglob("l2-rgb-*.csv")]
    assert not [*(tmp_path / "e/distances").rglob("psnr-*.csv")]


def test_a_table_of_near_pairs_in_bfloat16_is_warned_of(tmp_path, words, caplog):
    for dtype, warned in (("float32", False), ("bfloat16", True)):
        caplog.clear()
        evaluate(settings("evaluate", *words, f"experiments={tmp_path}/e", "net=[]", f"dtype={dtype}"))
        assert ("nearly equal" in caplog.text) == warned
