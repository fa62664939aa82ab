"""Settings that are paths, in which `~` is the user's home, as in a shell."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from lpips_repro.errors import UserError

# At the top of the repository, or inside the package of an installed wheel.
_INSIDE = Path(__file__).parents[1] / "configs"
CONFIGS = _INSIDE if _INSIDE.is_dir() else Path(__file__).parents[2] / "configs"
# The last parts of their names. Mirrors, which can be addresses, expand `~` elsewhere.
PATHS = {
    *("root", "packed", "archives", "manifest", "experiments", "reference", "features", "store"),
    *("image", "images", "weights", "module", "distances", "out", "cnn", "dataset", "consent"),
}


def at_home(path: str) -> str:
    """The path with `~` expanded; UserError for the home of an unknown user."""
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise UserError(f"{path}: no such user: for a folder of this name write ./{path}") from None


# For Hydra's folders, which it makes before settings are parsed.
OmegaConf.register_new_resolver("home", at_home, replace=True)


def expand_home(node: DictConfig | ListConfig) -> None:
    """Expand `~` in all paths of the composed settings, in place."""
    raw: Any = OmegaConf.to_container(node, resolve=False)
    for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw):
        if isinstance(value, dict) or (isinstance(value, list) and key in PATHS):
            expand_home(node[key])
        elif isinstance(value, str) and (isinstance(raw, list) or key in PATHS):
            node[key] = at_home(value)


def empty_paths(found: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The full names of settings that are paths and have the value "", which would be the current folder."""
    for key, value in found.items():
        if isinstance(value, dict):
            yield from empty_paths(value, f"{prefix}{key}.")
        elif value == "" and key in PATHS - {"distances"}:  # no distances: see `MetricConfig`
            yield f"{prefix}{key}"
