"""How weights that were made here were made: a JSON file beside theirs."""

import json
from pathlib import Path
from typing import Any

from lpips_repro.errors import UserError
from lpips_repro.files import write_whole
from lpips_repro.weights.state_dicts import digest_state, read_state


def recipe_file(weights: Path) -> Path:
    """Where the recipe of a file of weights is."""
    return weights.with_suffix(".json")


def write_recipe(weights: Path, made: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write the recipe of weights, in place of an older one; returns it.

    Args:
        weights: their file, which is written already.
        made: what the tables call them by, as in "trained here: 900 steps".
        content: all else there is to say.
    """
    recipe = {"made": made, "weights": digest_state(read_state(weights)), **content}
    write_whole(recipe_file(weights), json.dumps(recipe, indent=2) + "\n")
    return recipe


def read_recipe(weights: Path) -> dict[str, Any] | None:
    """The recipe of a file of weights; None where there is none of what is in the file."""
    try:
        recipe = json.loads(recipe_file(weights).read_text())
        return recipe if recipe["weights"] == digest_state(read_state(weights)) and recipe["made"] else None
    except (OSError, UserError, ValueError, LookupError, TypeError):  # some other JSON, or weights of another form
        return None
