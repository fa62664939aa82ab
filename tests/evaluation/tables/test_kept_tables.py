"""Tables of other data are kept, and those of the same data replaced."""

import json

import pytest

from lpips_repro.evaluation.tables.kept_tables import keep_other_tables

DATA = {"images": "18 images 123456789abc"}
EARLIER = json.dumps(DATA)  # as it was written before it had the names of tables


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_the_tables_that_a_folder_has_are_listed_and_moved(tmp_path):
    folder = tmp_path / "tables"
    assert "own" in keep_other_tables(folder, DATA, "own")
    assert json.loads((folder / "data.json").read_text()) == {"data": DATA, "tables": ["own"]}
    for name in ("own.csv", "own.md", "own.tex", "notes.md"):
        (folder / name).write_text(name)
    assert "own" in keep_other_tables(folder, DATA, "other")  # may be removed by the one who writes `other`
    assert names(folder) == {"own.csv", "own.md", "own.tex", "notes.md", "data.json"}
    (folder / "other.csv").write_text("other")
    keep_other_tables(folder, {}, "third")
    assert names(folder) == {"notes.md", "data.json"}
    (kept,) = tmp_path.glob("tables-*")
    assert names(kept) == {"own.csv", "own.md", "own.tex", "other.csv", "data.json"}
    assert json.loads((folder / "data.json").read_text()) == {"data": {}, "tables": ["third"]}


@pytest.mark.parametrize("name", ["twoafc.csv", "tid2013.md", "kadid-10k.tex"])
@pytest.mark.parametrize("content", [EARLIER, "no JSON", "[1]", '"tables"', '{"tables": 3}'])
def test_tables_of_a_folder_that_lists_none_are_moved_too(tmp_path, content, name):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "data.json").write_text(content)
    (folder / name).write_text("earlier")
    keep_other_tables(folder, {"other": "data"}, "twoafc")
    (kept,) = tmp_path.glob("tables-*")
    assert names(kept) == {name, "data.json"}
    assert (kept.name == "tables-earlier") == (content != EARLIER)


def test_tables_of_the_same_data_stay_though_their_folder_listed_none(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "data.json").write_text(EARLIER)
    (folder / "twoafc.csv").write_text("earlier")
    assert "kadid-10k" in keep_other_tables(folder, DATA, "twoafc")
    assert names(folder) == {"twoafc.csv", "data.json"} and not [*tmp_path.glob("tables-*")]
