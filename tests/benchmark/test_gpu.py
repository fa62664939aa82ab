"""`make gpu-bench` resumes, and does not keep rows of other code."""

import csv
import functools

import pytest

from lpips_repro.benchmark import gpu
from lpips_repro.benchmark.gpu import gpu_bench
from lpips_repro.benchmark.rate_table import Row
from lpips_repro.errors import UserError
from tests.benchmark.small import small

PARTS = ("a", "b", "c")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Runs gpu-bench with parts of one row each; `bench.measured` lists the parts measured."""

    def measure(part):
        if (error := run.errors.pop(part, None)) is not None:
            raise error
        run.measured.append(part)
        return [Row("task", "alex", 2, precision=part, rate=1.5, unit="things/s")]

    def run(*overrides):
        run.measured.clear()
        return read(gpu_bench(small(tmp_path, "net=[alex]", *overrides)))

    run.measured, run.errors = [], {}
    parts = [(part, functools.partial(measure, part)) for part in PARTS]
    monkeypatch.setattr(gpu, "_parts", lambda *_: parts)
    return run


def test_a_row_is_written_as_soon_as_it_is_measured_and_the_same_command_resumes(bench, tmp_path):
    bench.errors["c"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench()
    (path,) = (tmp_path / "benchmarks").iterdir()
    assert path.name == "gpu-bench-cpu-alex.csv"
    before = read(path)
    assert [row["part"] for row in before] == ["a", "b"]
    rows = bench()
    assert bench.measured == ["c"]
    assert rows[:2] == before and [row["part"] for row in rows] == list(PARTS)
    assert rows[0]["rate"] == "1.5" and rows[0]["code"] and rows[0]["driver"]
    bench()
    assert bench.measured == []


@pytest.mark.parametrize("error", [UserError("other values"), RuntimeError("CUDA error")])
def test_a_part_that_fails_does_not_stop_the_others_and_is_tried_again(bench, error, capsys):
    bench.errors["a"] = error
    with pytest.raises(UserError, match="not measured: a: the same command tries these again"):
        bench()
    assert bench.measured == ["b", "c"]
    output = capsys.readouterr()
    assert str(error) in output.out + output.err
    assert {row["part"] for row in bench()} == set(PARTS)
    assert bench.measured == ["a"]


def test_rows_of_other_code_are_reported_and_measured_again(bench, monkeypatch, capsys):
    bench()
    describe_card = gpu.describe_card
    monkeypatch.setattr(gpu, "describe_card", lambda device: describe_card(device) | {"code": "other"})
    rows = bench()
    assert bench.measured == list(PARTS)
    assert "3 rows are of another card, version or code" in capsys.readouterr().out
    assert [row["code"] for row in rows] == ["other"] * 3


def test_another_day_is_no_reason_to_measure_again(bench, monkeypatch):
    bench()
    describe = gpu.describe
    monkeypatch.setattr(gpu, "describe", lambda device: describe(device) | {"date": "2031-01-01"})
    bench()
    assert bench.measured == []


def test_more_than_one_network_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"^net=\[alex,vgg\]: expected one network: NET=alex$"):
        gpu_bench(small(tmp_path, "net=[alex,vgg]"))


@pytest.mark.slow
def test_the_parts_are_those_of_the_benchmark(tmp_path):
    rows = read(gpu_bench(small(tmp_path, "net=[squeeze]")))
    tasks = {"evaluation", "tune or scratch step", "lin feature pass", "lin step on features"}
    assert {row["task"] for row in rows} == tasks
    first = {(row["task"], row["precision"]) for row in rows if row["implementation"] == "ours" and row["rate"]}
    assert first >= {(task, p) for task in ("evaluation", "tune or scratch step") for p in ("float32", "bfloat16")}
    assert len({tuple(row[key] for key in ("task", "implementation", "mode", "precision")) for row in rows}) == len(
        rows
    )
    # They are compared with float32, which is measured in another part.
    assert all(float(row["difference"]) > 0 for row in rows if row["precision"] == "bfloat16" and row["difference"])
    assert all(row["ratio"] for row in rows if row["precision"] == "float32" and row["peer"])


def test_a_damaged_file_is_named_before_anything_is_measured(bench, tmp_path):
    bench()
    (path,) = (tmp_path / "benchmarks").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(UserError, match=r"gpu-bench-cpu-alex.csv: .*: restore it, or move it elsewhere"):
        bench()
    assert bench.measured == []
