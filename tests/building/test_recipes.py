"""Recipes as Parquet files."""

import json

import pytest
from pyarrow import parquet

from lpips_repro.building import recipes as module
from lpips_repro.building.patches import Crop
from lpips_repro.building.recipes import Recipe, check_pyarrow, read_recipes, write_recipes
from lpips_repro.distortions.family import Application
from lpips_repro.errors import UserError

STEPS = (
    Application("traditional", "jpeg", {"severity": 0.1 + 0.2}, 2**63 - 1),
    Application("cnn", "ae-0001", {"weights": "ab" * 32, "on": True, "k": 3}, 0),
)
RECIPES = [
    Recipe("2afc/val/mix", "000000", "ü b/'c\".png", "0" * 64, Crop(1, 2, 3, True), 64, 16, STEPS, STEPS[:1], "f" * 64),
    Recipe("jnd/val/cnn", "000001", "a.jpg", "1" * 64, Crop(70_000, 0, 96, False), 64, 0, (), STEPS[1:]),
]


def test_recipes_are_read_as_written_and_equal_ones_give_equal_bytes(tmp_path):
    write_recipes(tmp_path / "a.parquet", RECIPES)
    write_recipes(tmp_path / "b.parquet", RECIPES)
    assert read_recipes(tmp_path / "a.parquet") == RECIPES
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_the_parquet_file_has_a_row_per_example_and_the_versions(tmp_path):
    write_recipes(tmp_path / "a.parquet", RECIPES)
    table = parquet.read_table(tmp_path / "a.parquet")
    row = table.to_pylist()[0]
    severity = json.dumps({"severity": 0.1 + 0.2})
    assert row["p0"][0] == {"family": "traditional", "name": "jpeg", "parameters": severity, "seed": 2**63 - 1}
    assert {key: row[key] for key in ("left", "top", "side", "mirrored")} == RECIPES[0].crop._asdict()
    assert {b"lpips_repro", b"numpy", b"opencv"} <= table.schema.metadata.keys()


@pytest.mark.parametrize("content", [b"", b"no parquet", None])
def test_a_file_that_is_not_parquet_is_named(tmp_path, content):
    path = tmp_path / "a.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"a.parquet: not a readable file of recipes"):
        read_recipes(path)


def test_a_file_with_another_table_is_named(tmp_path):
    import pyarrow as pa

    parquet.write_table(pa.table({"x": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a.parquet: not a readable file of recipes"):
        read_recipes(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("edited", "message"),
    [
        ({"left": None}, "no left"),
        ({"split": "other/val/x"}, "split other/val/x"),
        ({"p0": [{"family": "traditional", "name": "jpeg", "parameters": "[1]", "seed": 1}]}, "jpeg with parameters"),
        ({"p0": [{"family": "traditional", "name": "jpeg", "parameters": "{}", "seed": -1}]}, "seed -1"),
        ({"p0": [{"family": "traditional", "name": "jpeg", "parameters": None, "seed": 1}]}, "no parameters"),
    ],
)
def test_an_invalid_row_is_named(tmp_path, edited, message):
    path = tmp_path / "a.parquet"
    write_recipes(path, RECIPES)
    table = parquet.read_table(path)
    rows = [{**row, **edited} for row in table.to_pylist()]
    parquet.write_table(table.from_pylist(rows, schema=table.schema), path)
    with pytest.raises(UserError, match=f"a.parquet: not a readable file of recipes .*{message}"):
        read_recipes(path)


def test_without_pyarrow_the_error_has_the_remedy(monkeypatch):
    monkeypatch.setattr(module, "pa", None)
    with pytest.raises(UserError, match=r"need pyarrow: run pip install 'lpips_repro\[build\]'"):
        check_pyarrow()
