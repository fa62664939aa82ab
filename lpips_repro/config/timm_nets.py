"""`net=timm/NAME`: each network of timm as a choice of the group `net`, without a YAML file."""

import re
from collections.abc import Iterable

from hydra.core.config_store import ConfigStore

NAMED = re.compile(r"\btimm/([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)?)")
# What the names of networks have that learned without labels, unless they were trained with labels afterwards.
WITHOUT_LABELS = re.compile(r"mae|dino|mim|jepa|lvd|moco|simclr")
WITH_LABELS = re.compile(r"ft_in|_ft\b")


def register_timm_nets(words: Iterable[str]) -> None:
    """Make every `timm/NAME` in the words of a command known to Hydra as a choice of `net`.

    Its key in the settings, and in names of runs, is `timm-NAME`, with `-` in place of the point before timm's tag.
    Whether it learned from labels is told from timm's name: `net.KEY.supervision` says otherwise.
    """
    for name in dict.fromkeys(NAMED.findall(" ".join(words))):
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
        ConfigStore.instance().store(f"{name}.yaml", {f"timm-{name.replace('.', '-')}": settings}, "net/timm", "net")
