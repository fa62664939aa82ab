"""Files that are written as a whole, locks of folders, and image files decoded safely."""

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
    "write_whole",
    "written_together",
]
