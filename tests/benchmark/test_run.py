import csv
from dataclasses import fields

import pytest
import torch

from lpips_repro.benchmark import machine as machine_module
from lpips_repro.benchmark import run as module
from lpips_repro.benchmark.machine import describe, slug
from lpips_repro.benchmark.rate_table import Row
from lpips_repro.benchmark.rates_of_commits import Case, Sample, change_of
from lpips_repro.benchmark.run import bench
from lpips_repro.config import BenchConfig, parse
from lpips_repro.errors import UserError
from tests.benchmark.small import small
from tests.compose import CONFIGS
from tests.makefile import script

ROOT = CONFIGS.parent


def read(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# Not `files` and `building`, which start processes: `test_building` and `tests/cli` test them.
@pytest.mark.parametrize(
    "overrides",
    [
        ("measure=[evaluation,table,training,lin,classic,split]",),
        pytest.param((), marks=pytest.mark.slow, id="all"),
    ],
)
def test_a_run_of_all_tasks_prints_tables_and_writes_the_csv(tmp_path, capsys, overrides):
    path = bench(small(tmp_path, "net=[alex]", *overrides))
    machine = describe(torch.device("cpu"))
    assert path == tmp_path / "benchmarks" / f"{slug(machine)}-part.csv"
    rows = read(path)
    assert list(rows[0]) == [*(field.name for field in fields(Row)), *machine]
    tasks = {row["task"] for row in rows}
    assert tasks >= {
        "evaluation",
        "whole val table",
        "tune or scratch step",
        "lin feature pass",
        "lin step on features",
        "fsimc",
    }
    assert {row["torch"] for row in rows} == {torch.__version__}
    (large,) = (row for row in rows if row["task"] == "packed split of 4")
    assert 50 < float(large["memory_mb"]) < 10_000
    printed = capsys.readouterr().out
    assert "x lpips" in printed and "projected: lin training" in printed and str(path) in printed


@pytest.mark.slow
def test_compiled_implementations_agree_and_a_whole_run_has_its_own_file(tmp_path):
    path = bench(small(tmp_path, "compile=true"))
    assert not path.stem.endswith("-part")
    assert not [row["note"] for row in read(path) if row["note"]]
    assert {row["net"] for row in read(path) if row["mode"] == "compiled"} == {"alex", "squeeze", "vgg", ""}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("measure=[evaluatio]", r"measure\[0\]=evaluatio: expected one of evaluation, table, training"),
        ("measure=[]", "expected some of evaluation, table, training"),
        ("net.alex.backbone=resnet", "net.alex.backbone='resnet': expected one of alex"),
        ("split_triplets=[4,2]", "expected two numbers"),
        ("threads=0", "threads=0: expected an integer from 1 to 1024"),
        ("experiments=/dev/null/x", "/dev/null/x/benchmarks: Not a directory"),
    ],
)
def test_an_invalid_setting_is_one_clear_error(tmp_path, override, message):
    with pytest.raises(UserError, match=message):
        bench(small(tmp_path, "net=[alex]", override))


def test_rates_against_a_commit_have_their_own_file_which_git_ignores(tmp_path, monkeypatch):
    row = change_of(Sample(Case("l2", 10, "pairs/s", 0.0), [[(1.0, 2.0)]], 0.0))
    monkeypatch.setattr(module, "bench_against", lambda cfg, device: ({"now": "b" * 40, "then": "a" * 40}, [row]))
    path = bench(small(tmp_path, "against=main"))
    assert path.name == f"{slug(describe(torch.device('cpu')))}-against-aaaaaaa.csv"
    (found,) = read(path)
    assert (found["ratio"], found["rate_then"], found["then"], found["now"]) == ("2", "5", "a" * 40, "b" * 40)
    part = bench(small(tmp_path, "against=main", "net=[alex]"))
    assert part.name == f"{path.stem}-part.csv"
    ignored = (ROOT / ".gitignore").read_text().split()
    assert "/experiments/benchmarks/*-against-*.csv" in ignored


@pytest.mark.parametrize("measure", ["split", "table", "table,split"])
def test_tables_and_splits_are_not_compared_with_a_commit(measure, tmp_path):
    with pytest.raises(UserError, match=rf"measure=\[{measure}\]: not compared with another commit"):
        bench(small(tmp_path, "against=HEAD", f"measure=[{measure}]"))


def test_make_passes_a_commit_unchanged(tmp_path):
    for commit in ("HEAD~3", "main@{1}", "696e922"):  # Hydra reads the last one as a number
        assert parse(small(tmp_path, *script("bench", f"AGAINST={commit}")[1:]), BenchConfig).against == commit


@pytest.mark.parametrize(("native", "text"), [(True, "native"), (False, "emulated"), (None, "unknown")])
def test_the_machine_says_whether_it_has_bfloat16(native, text, monkeypatch):
    monkeypatch.setattr(machine_module, "native_bfloat16", lambda: native)
    assert describe(torch.device("cpu"))["cpu_bfloat16"] == text


def test_files_are_named_after_the_gpu_or_else_the_processor():
    machine = {"cpu": "AMD EPYC(TM) 9B14", "gpu": "", "cores": "2"}
    assert slug(machine) == "amd-epyc-tm-9b14-2-cores"
    assert slug(machine | {"gpu": "NVIDIA H100 PCIe", "cores": "16"}) == "nvidia-h100-pcie-16-cores"
