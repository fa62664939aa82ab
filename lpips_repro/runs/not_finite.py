"""The end of a run whose loss or gradient is not finite: it writes the examples of that step, and no checkpoint."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lpips_repro.errors import UserError
from lpips_repro.files import write_whole


def write_bad_step(folder: Path, step: int, what: str, examples: Sequence[dict[str, Any]]) -> None:
    """Write the examples of a bad step to `not_finite.json`; what: the word for examples, such as "triplets"."""
    content = {"step": step, what: list(examples)}
    write_whole(_file(folder), json.dumps(content, indent=2) + "\n")


def bad_step_error(folder: Path, step: int, what: str, setting: str) -> UserError:
    """The error that ends the run; setting: full name of the learning rate's setting."""
    return UserError(
        f"{folder.name}: the loss or a gradient of step {step} is not finite: its {what} are in {_file(folder)}, and"
        f" the last checkpoint is unchanged: try a lower {setting}"
    )


def _file(folder: Path) -> Path:
    return folder / "not_finite.json"
