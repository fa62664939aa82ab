import os
import re

import pytest

from lpips_repro.errors import UserError
from lpips_repro.files import finite_number, number_or_none, read_csv, write_csv


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


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-Infinity", "1e999", "1_000", "0x1p3", "", "1,5", "١", "1e", "--1", "1 2", "."]
)
def test_what_is_not_a_finite_decimal_number_is_refused(text):
    with pytest.raises(ValueError, match=f"^{re.escape(repr(text))}: expected a finite number$"):
        finite_number(text)


@pytest.mark.parametrize("text", ["0", "-1.5", "+.5", "5.", " 1e-3 ", "1E300", "5e-324", "0.1"])
def test_decimal_numbers_are_read_as_float_reads_them(text):
    assert finite_number(text) == float(text)


def test_an_empty_cell_and_nan_stand_for_a_missing_number():
    assert [number_or_none(text) for text in ("", " ", "nan", "NaN", "1.5")] == [None, None, None, None, 1.5]
    with pytest.raises(ValueError, match=r"^'inf': expected a finite number$"):
        number_or_none("inf")


def test_the_lines_of_a_csv_have_their_place_and_their_numbers(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfname,score\r\n"a\nb",1.5\r\nc,nan\r\n')
    first, second = read_csv(tmp_path / "a.csv", "restore it")
    assert (dict(first), first.number("score")) == ({"name": "a\nb", "score": "1.5"}, 1.5)
    with pytest.raises(UserError, match=r"a.csv, line 4: score 'nan': expected a finite number: restore it"):
        second.number("score")
    with pytest.raises(UserError, match=r"a.csv, line 4: no column mean: restore it"):
        second.number("mean")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a.csv: No such file or directory: restore it"),
        (b"a,b\n1\n", "a.csv, line 2: expected 2 cells: restore it"),
        (b"a,b\n1,2\n1,2,3\n", "a.csv, line 3: expected 2 cells: restore it"),
        (b"a,b\n1,\xff\n", r"a.csv: not a CSV file of UTF-8 text \(.*\): restore it"),
        (b'a,b\n1,"2\n', r"a.csv: not a CSV file of UTF-8 text \(unexpected end of data\): restore it"),
        (b"a,b\n1," + b"2" * 200_000, r"a.csv: not a CSV file of UTF-8 text \(field larger .*\): restore it"),
    ],
)
def test_a_damaged_csv_is_an_error_that_names_it(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_csv(tmp_path / "a.csv", "restore it")
