import os

import pytest

from lpips_repro.files import write_csv


def test_columns_are_those_of_the_first_row_or_as_given_and_missing_cells_are_empty(tmp_path):
    rows = [{"a": 1, "b": "x, y"}, {"b": 'a "word"'}]
    write_csv(tmp_path / "one.csv", iter(rows))
    assert (tmp_path / "one.csv").read_bytes() == b'a,b\r\n1,"x, y"\r\n,"a ""word"""\r\n'
    write_csv(tmp_path / "two.csv", rows, ("b", "a", "c"))
    assert (tmp_path / "two.csv").read_bytes() == b'b,a,c\r\n"x, y",1,\r\n"a ""word""",,\r\n'
    write_csv(tmp_path / "none.csv", [], ("a", "b"))
    assert (tmp_path / "none.csv").read_bytes() == b"a,b\r\n"


def test_a_row_with_another_column_is_refused_and_leaves_the_older_file(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(ValueError, match="fields not in fieldnames: 'c'"):
        write_csv(tmp_path / "a.csv", [{"a": 1}, {"a": 2, "c": 3}])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_full_disk_leaves_the_older_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    write_csv(tmp_path / "a.csv", [{"a": 1}])
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_csv(tmp_path / "a.csv", [{"a": 2}])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.csv": b"a\r\n1\r\n"}
