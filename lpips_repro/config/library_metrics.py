"""`metric=piq/mdsi`: each metric of another library as a choice of the group `metric`, without a YAML file."""

import re
from collections.abc import Iterable

from hydra.core.config_store import ConfigStore

NAMED = re.compile(r"(?<![\w/.])([A-Za-z_]\w*)/([A-Za-z_]\w*)(?![\w/.])")


def register_library_metrics(words: Iterable[str]) -> None:
    """Make every LIBRARY/METRIC that a `metric=` in the words of a command names known to Hydra as a choice.

    Its key in the settings, and its name in the tables, is `LIBRARY-METRIC`. Whether there is such a metric is asked
    when the rows are listed.
    """
    for word in words:
        key, _, value = word.partition("=")
        for library, metric in NAMED.findall(value) if key == "metric" else ():
            settings: dict[str, object] = {"function": f"{library}/{metric}", "settings": {}, "paper": None}
            node = {f"{library}-{metric}": settings}
            ConfigStore.instance().store(f"{metric}.yaml", node, f"metric/{library}", "metric")
