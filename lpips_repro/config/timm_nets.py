"""`net=timm/NAME`: networks of timm as choices of the group `net`, without YAML files."""

import re
from collections.abc import Iterable
from typing import Any

from hydra.core.config_store import ConfigStore

NAMED = re.compile(r"\btimm/([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)?)")
# Parts of names of networks that learned without labels, and of those then trained with labels.
WITHOUT_LABELS = re.compile(r"mae|dino|mim|jepa|lvd|moco|simclr")
WITH_LABELS = re.compile(r"ft_in|_ft\b")


def register_timm_nets(words: Iterable[str]) -> None:
    """Register each `timm/NAME` in a command's words as a choice of `net` for Hydra.

    Its key in the settings and in names of runs is `timm-NAME`, with `-` instead of the point before timm's tag. Its
    supervision is derived from timm's name. `net.KEY.supervision` overrides it.
    """
    for name in dict.fromkeys(NAMED.findall(" ".join(words))):
        ConfigStore.instance().store(f"{name}.yaml", timm_net(name), "net/timm", "net")


def timm_net(name: str) -> dict[str, dict[str, Any]]:
    """The settings of a network of timm by their key, as a file in `configs/net` has them."""
    without = WITHOUT_LABELS.search(name) and not WITH_LABELS.search(name)
    settings = {
        "backbone": f"timm/{name}",
        "init": "imagenet",
        "supervision": "self-supervised" if without else "supervised",
        "official_lin": False,
        "paper": None,
        "weights": None,
        "remedy": "",
        "versions": ["0.1"],
    }
    return {f"timm-{name.replace('.', '-')}": settings}
