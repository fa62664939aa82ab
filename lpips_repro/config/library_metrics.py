"""`metric=piq/mdsi`: metrics of other libraries as choices of the group `metric`, without YAML files."""

import re
from collections.abc import Iterable

from hydra.core.config_store import ConfigStore

NAMED = re.compile(r"(?<![\w/.])([A-Za-z_]\w*)/([A-Za-z_]\w*)(?![\w/.])")


def register_library_metrics(words: Iterable[str]) -> None:
    """Register each LIBRARY/METRIC in a `metric=` of a command's words as a choice for Hydra.

    Its key in the settings and its name in tables is `LIBRARY-METRIC`. Whether the metric exists is checked later, when
    rows are listed.
    """
    for word in words:
        key, _, value = word.partition("=")
        for library, metric in NAMED.findall(value) if key == "metric" else ():
            settings: dict[str, object] = {"function": f"{library}/{metric}", "settings": {}, "paper": None}
            node = {f"{library}-{metric}": settings}
            ConfigStore.instance().store(f"{metric}.yaml", node, f"metric/{library}", "metric")
