"""The name of a run: equal settings give equal names, and other settings another name."""

import functools
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf

from lpips_repro.config.paths import CONFIGS

# Settings that earlier versions of the code did not have, with the values that those versions used. With these values
# they are not part of a run's name or identity, so that earlier runs keep their names and can be resumed.
ADDED_LATER = {
    **{"optimizer.name": "adam", "optimizer.momentum": None, "optimizer.weight_decay": 0.0},
    **{"schedule": "paper", "precision": "float32", "compile": False},  # pretraining
    "data.size": 64,
}


def run_settings(
    composed: DictConfig | ListConfig, left_out: Collection[str], *, resolve: bool = True
) -> dict[str, Any]:
    """The settings that change a run's result, by full name.

    The path of a user's Python file (`module`) does not: its content is part of the run's identity.

    Args:
        composed: the settings; left_out: full names of settings that change no result, or are in the name.
        resolve: whether to resolve references to other settings.
    """
    settings = flat_settings(cast(dict[str, Any], OmegaConf.to_container(composed, resolve=resolve)))
    return {
        key: value
        for key, value in settings.items()
        if key not in left_out
        and not key.endswith(".module")
        and not (key in ADDED_LATER and value == ADDED_LATER[key])
    }


@functools.cache
def default_settings(script: str, **groups: str) -> Mapping[str, Any]:
    """The default settings in `configs/`, by full name.

    Args:
        script: name of the main file, such as "train".
        groups: the choice in each group. A user's choice without a file in `configs/` adds nothing.
    """
    parts: list[Any] = [OmegaConf.load(CONFIGS / f"{script}.yaml")]
    for group, name in groups.items():
        file = CONFIGS / group / f"{name}.yaml"
        if file.is_file():
            parts.append({group: OmegaConf.load(file)})
    return flat_settings(cast(dict[str, Any], OmegaConf.to_container(OmegaConf.merge(*parts), resolve=False)))


def with_hash(name: str, settings: dict[str, Any], defaults: Mapping[str, Any]) -> str:
    """The name, with a short hash of the settings that differ from the defaults, if any."""
    whole = {key: value for key, value in ADDED_LATER.items() if key in defaults} | settings
    other = {key: value for key, value in whole.items() if key not in defaults or defaults[key] != value}
    if not other:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(other, sort_keys=True).encode()).hexdigest()[:8]}"


def flat_settings(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by full name."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flat_settings(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
