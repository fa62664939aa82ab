"""Atomic writing of files, CSV and JSON files, locks of folders, and safe decoding of image files."""

from lpips_repro.files.csv_files import CsvLine, finite_number, number_or_none, read_csv, write_csv
from lpips_repro.files.json_files import parse_json, read_json, read_object
from lpips_repro.files.writing import (
    finish_writing,
    free_name,
    keep_damaged,
    naming,
    new_file,
    set_aside,
    sync,
    write_picture,
    write_whole,
    written_together,
)

__all__ = [
    "CsvLine",
    "finish_writing",
    "finite_number",
    "free_name",
    "keep_damaged",
    "naming",
    "new_file",
    "number_or_none",
    "parse_json",
    "read_csv",
    "read_json",
    "read_object",
    "set_aside",
    "sync",
    "write_csv",
    "write_picture",
    "write_whole",
    "written_together",
]
