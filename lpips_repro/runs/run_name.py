"""The name of a run: the same settings, the same name; another setting, another name."""

import functools
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf

from lpips_repro.config.paths import CONFIGS

# Settings that earlier versions of the code did not have, at the values that give what those versions computed. At
# these values they are no part of a run's name or identity, so that earlier runs keep their names and are gone on with.
ADDED_LATER = {
    **{"optimizer.name": "adam", "optimizer.momentum": None, "optimizer.weight_decay": 0.0},
    **{"schedule": "paper", "precision": "float32", "compile": False},  # of pretraining
    "data.size": 64,
}


def run_settings(
    composed: DictConfig | ListConfig, left_out: Collection[str], *, resolve: bool = True
) -> dict[str, Any]:
    """The settings that change a run's result, by their full names.

    Where a Python file of the user is (`module`) changes none: what it holds is part of the run's identity.

    Args:
        composed: the settings; left_out: full names of those that change no result, or are in the name.
        resolve: replace what refers to other settings.
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
    """What `configs/` says if nothing is overridden, by full names.

    Args:
        script: name of its main file, such as "train".
        groups: the choice in each group. A group of the user's own, which has no file there, adds nothing.
    """
    parts: list[Any] = [OmegaConf.load(CONFIGS / f"{script}.yaml")]
    for group, name in groups.items():
        file = CONFIGS / group / f"{name}.yaml"
        if file.is_file():
            parts.append({group: OmegaConf.load(file)})
    return flat_settings(cast(dict[str, Any], OmegaConf.to_container(OmegaConf.merge(*parts), resolve=False)))


def with_hash(name: str, settings: dict[str, Any], defaults: Mapping[str, Any]) -> str:
    """A name, and a short hash of the settings that differ from the defaults if there are any."""
    whole = {key: value for key, value in ADDED_LATER.items() if key in defaults} | settings
    other = {key: value for key, value in whole.items() if key not in defaults or defaults[key] != value}
    if not other:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(other, sort_keys=True).encode()).hexdigest()[:8]}"


def flat_settings(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their full names."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flat_settings(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
