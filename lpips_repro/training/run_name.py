"""The name of a training run: the same settings, the same name; another setting, another name."""

import hashlib
import json
from collections.abc import Collection
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lpips_repro.cli import CONFIGS

# What changes no result: where things are kept, what is watched and how often, and on what it runs.
ASIDE = {
    *("data.packed", "data.workers", "data.mirrors", "data.archives", "data.unpack", "data.manifest", "data.dataset"),
    *("trainer.log_every", "trainer.checkpoint_minutes"),
    *("seed", "version", "device", "experiments", "features", "download", "bootstrap"),
}


def run_settings(composed: DictConfig, aside: Collection[str] = ASIDE, *, resolve: bool = True) -> dict[str, Any]:
    """The settings that change a run's result, by their full names; resolve: what refers to others."""
    settings = OmegaConf.to_container(composed, resolve=resolve)
    return {key: value for key, value in flat_settings(settings).items() if key not in aside}


def run_name(composed: DictConfig) -> str:
    """`<data>-<net>-<variant>-v<version>-seed<seed>`, and a short hash of what differs from the default settings."""
    settings = OmegaConf.to_container(composed, resolve=True)
    data, (net,), (variant,) = settings["data"]["name"], settings["net"], settings["variant"]
    name = f"{data}-{net}-{variant}-v{settings['version']}-seed{settings['seed']}"
    # Not resolved: a file in the folder of results is the same one wherever that is.
    return with_hash(name, run_settings(composed, resolve=False), flat_settings(_default_settings(data, net, variant)))


def with_hash(name: str, settings: dict[str, Any], defaults: dict[str, Any]) -> str:
    """A name, and a short hash of the settings that differ from the defaults where there are any."""
    other = {key: value for key, value in settings.items() if key not in defaults or defaults[key] != value}
    if not other:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(other, sort_keys=True).encode()).hexdigest()[:8]}"


def _default_settings(data: str, net: str, variant: str) -> dict[str, Any]:
    """What `configs/` says for a dataset, network and variant; nothing where a name is the user's own."""
    parts = [OmegaConf.load(CONFIGS / "train.yaml")]
    for group, name in (("data", data), ("net", net.replace("-", "_")), ("variant", variant)):
        file = CONFIGS / group / f"{name}.yaml"
        if file.is_file():
            parts.append({group: OmegaConf.load(file)})
    schedule = CONFIGS / "trainer" / f"{data}_{variant}.yaml"
    if schedule.is_file():
        parts.append({"trainer": OmegaConf.load(schedule)})
    return OmegaConf.to_container(OmegaConf.merge(*parts), resolve=False)


def flat_settings(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their full names."""
    flat = {}
    for key, value in settings.items():
        flat |= flat_settings(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
