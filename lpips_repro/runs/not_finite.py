"""The end of a run whose loss or gradient is not finite: it writes the examples of that step, and no checkpoint."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.files import write_whole


def end_at_bad_step(
    folder: Path, step: int, what: str, examples: Sequence[dict[str, Any]], setting: str, ranks: Ranks
) -> NoReturn:
    """Write the examples of a bad step to `not_finite.json`, and end the run.

    Args:
        folder: the run's folder.
        step: number of the step.
        what: the word for examples, such as "triplets".
        examples: the examples of the step.
        setting: full name of the learning rate's setting.
        ranks: the processes that train together, which all call this function. The first one reports.

    Raises:
        UserError: always.
    """
    if not ranks.first:
        ranks.meet()  # this raises an error at the end of the first rank, which has reported by then
    write_whole(folder / "not_finite.json", json.dumps({"step": step, what: list(examples)}, indent=2) + "\n")
    raise UserError(
        f"{folder.name}: the loss or a gradient of step {step} is not finite: its {what} are in"
        f" {folder / 'not_finite.json'}, and the last checkpoint is unchanged: try a lower {setting}"
    )
