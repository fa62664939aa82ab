"""The recipe of weights that this project made: a JSON file next to theirs."""

import json
from pathlib import Path
from typing import Any

from lpips_repro.errors import UserError
from lpips_repro.files import read_json, write_whole
from lpips_repro.weights.state_dicts import digest_state, read_state


def recipe_file(weights: Path) -> Path:
    """The file of the recipe of a file of weights."""
    return weights.with_suffix(".json")


def write_recipe(weights: Path, made: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write the recipe of weights, over an older one, and return it.

    Args:
        weights: the file of weights, which must exist.
        made: their origin as the tables show it, such as "trained here: 900 steps".
        content: further entries.
    """
    recipe = {"made": made, "weights": digest_state(read_state(weights)), **content}
    write_whole(recipe_file(weights), json.dumps(recipe, indent=2) + "\n")
    return recipe


def read_recipe(weights: Path) -> dict[str, Any] | None:
    """The recipe of a file of weights; None if there is none, or if it is of other weights."""
    try:
        recipe = read_json(recipe_file(weights), finite=False)
        return recipe if recipe["weights"] == digest_state(read_state(weights)) and recipe["made"] else None
    except (OSError, UserError, ValueError, LookupError, TypeError):  # another JSON file, or weights in another format
        return None
