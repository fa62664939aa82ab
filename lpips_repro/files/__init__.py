"""Atomic writing of files, CSV files, locks of folders, and safe decoding of image files."""

from lpips_repro.files.csv_files import write_csv
from lpips_repro.files.writing import (
    finish_writing,
    free_name,
    keep_damaged,
    new_file,
    set_aside,
    sync,
    write_whole,
    written_together,
)

__all__ = [
    "finish_writing",
    "free_name",
    "keep_damaged",
    "new_file",
    "set_aside",
    "sync",
    "write_csv",
    "write_whole",
    "written_together",
]
