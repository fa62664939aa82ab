"""Groups of settings whose choices have different settings: datasets and pretext tasks.

Each choice has its own dataclass, which is registered next to the class that it sets, and found by the choice's `name`.
"""

from pathlib import Path
from typing import Any

from lpips_repro.config.checks import check_name
from lpips_repro.errors import UserError, check_new, expected
from lpips_repro.modules import import_file

# The word for a choice of each group in messages.
GROUPS = {"data": "dataset", "task": "task"}
SETTINGS: dict[str, dict[str, type]] = {group: {} for group in GROUPS}


def register_settings(group: str, name: str, settings: type) -> None:
    """Register the dataclass of settings of a choice in a group; UserError if the name is taken."""
    check_new(GROUPS[group], name, SETTINGS[group])
    SETTINGS[group][name] = settings


def settings_class(group: str, found: Any) -> type:
    """The dataclass of the selected choice of a group.

    Args:
        group: "data" or "task".
        found: the composed settings of the group. `module` is a Python file that registers the choice. An optional
            `dataset` is the registered name, so that `name` is free.

    Raises:
        UserError: if there is no choice, or if its name is not registered.
    """
    if not isinstance(found, dict):
        raise UserError(f"{group}={'null' if found is None else found}: expected a choice: {group}=NAME")
    check_name(f"{group}.name", str(found.get("name")))
    if found.get("module"):
        import_file(Path(found["module"]), GROUPS[group])
    key = "dataset" if found.get("dataset") else "name"
    name, known = str(found[key]), SETTINGS[group]
    if name not in known:
        own = ", or dataset: folder for a folder in the BAPPS layout under any name" if group == "data" else ""
        raise UserError(f"{group}.{key}={name!r}: {expected(name, known)}{own}")
    return known[name]
