"""The user's folder of weights, and the error if weights are not found."""

import contextlib
import os
from pathlib import Path

from lpips_repro.errors import UserError

FOLDER_VARIABLE = "LPIPS_REPRO_WEIGHTS"


class WeightsNotFoundError(UserError):
    """Weights were not found. The message says where they were looked for and how to get them."""


def weights_folder() -> Path | None:
    """The folder in LPIPS_REPRO_WEIGHTS, or None if it is not set; UserError if it is not a folder."""
    value = os.environ.get(FOLDER_VARIABLE)
    if not value:
        return None
    with contextlib.suppress(RuntimeError):  # ~ of an unknown user
        folder = Path(value).expanduser()
        if folder.is_dir():
            return folder
    raise UserError(f"{FOLDER_VARIABLE}={value}: no such folder: correct or unset the variable")
