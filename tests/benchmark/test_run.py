import csv

import pytest
import torch

from lpips_repro.benchmark.machine import describe, slug
from lpips_repro.benchmark.rows import COLUMNS
from lpips_repro.benchmark.run import bench
from lpips_repro.errors import UserError
from tests.benchmark.small import small


def read(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_of_all_tasks_prints_tables_and_writes_the_csv(tmp_path, capsys):
    path = bench(small(tmp_path, "net=[alex]"))
    machine = describe(torch.device("cpu"))
    assert path == tmp_path / "benchmarks" / f"{slug(machine)}-part.csv"
    rows = read(path)
    assert list(rows[0]) == [*COLUMNS, *machine]
    tasks = {row["task"] for row in rows}
    assert tasks >= {"evaluation", "tune or scratch step", "lin feature pass", "lin step on features", "fsimc"}
    assert {row["torch"] for row in rows} == {torch.__version__}
    (large,) = (row for row in rows if row["task"] == "packed split of 4")
    assert 50 < float(large["memory_mb"]) < 10_000
    printed = capsys.readouterr().out
    assert "x lpips" in printed and "projected: lin training" in printed and str(path) in printed


@pytest.mark.slow
def test_compiled_ones_agree_and_a_whole_run_has_a_file_of_its_own(tmp_path):
    path = bench(small(tmp_path, "compile=true"))
    assert not path.stem.endswith("-part")
    assert not [row["note"] for row in read(path) if row["note"]]
    assert {row["net"] for row in read(path) if row["mode"] == "compiled"} == {"alex", "squeeze", "vgg", ""}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("measure=[evaluatio]", r"measure\[0\].*expected one of \[evaluation, training"),
        ("measure=[]", "expected some of evaluation, training"),
        ("net.alex.backbone=resnet", "net.alex.backbone='resnet': expected one of alex"),
        ("split_triplets=[4,2]", "expected two numbers"),
        ("threads=0", "threads=0: expected an integer of at least 1"),
    ],
)
def test_a_setting_that_cannot_be_is_one_clear_error(tmp_path, override, message):
    with pytest.raises(UserError, match=message):
        bench(small(tmp_path, "net=[alex]", override))


def test_the_files_of_a_machine_are_named_after_what_computes():
    machine = {"cpu": "AMD EPYC(TM) 9B14", "gpu": "", "cores": "2"}
    assert slug(machine) == "amd-epyc-tm-9b14-2-cores"
    assert slug(machine | {"gpu": "NVIDIA H100 PCIe", "cores": "16"}) == "nvidia-h100-pcie-16-cores"
