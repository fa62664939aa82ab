"""Names of methods: for completion in the shell, and as a table."""

from collections.abc import Iterator

from tabulate import tabulate

from lpips_repro.config.library_table import LIBRARY_METRICS, library_metrics
from lpips_repro.config.paths import CONFIGS
from lpips_repro.config.yaml_files import computed_metrics, in_configs

DEFAULT = "alex"


def complete_name(incomplete: str) -> list[str]:
    """Return the names that begin with a text, sorted; a network's variants and versions only after `NET-`."""
    metrics = [*computed_metrics(), *library_metrics()]
    endings = [name for net in in_configs("net") if incomplete.startswith(f"{net}-") for name in _endings(net)]
    return sorted(name for name in [*metrics, *in_configs("net"), *endings] if name.startswith(incomplete))


def table_of_names() -> str:
    """Return a table of the names that -m accepts, with descriptions."""
    rows = [
        (name, _first_comment(group, in_configs(group)[name][0]))
        for group, names in (("metric", computed_metrics()), ("net", in_configs("net")))
        for name in names
    ]
    libraries = "\n".join(f"  {library}: {', '.join(metrics)}" for library, metrics in LIBRARY_METRICS.items())
    endings = (
        "A network may be followed by its variant and version, as in alex-lin-v0.0 or alex-off_the_shelf-v0.1. By"
        " default it is calibrated (lin) if the authors published weights for that, and v0.1. timm/NAME, as in"
        " timm/resnet50, is a network of timm, off the shelf.\n\nA metric of another"
        f" library is LIBRARY/METRIC, as in piq/mdsi:\n\n{libraries}\n\nYour own metric is FILE.py:FUNCTION: a function"
        " of two batches of images (N, 3, H, W) in [0, 1] that returns N values, with the decorator"
        " lpips_repro.metrics.register_metric()."
    )
    return f"{tabulate(rows, ('name', 'method'))}\n\n{endings}\n"


def _first_comment(group: str, file: str) -> str:
    """The description in the first line of a file of `configs/`, without the command."""
    line = (CONFIGS / group / f"{file}.yaml").read_text().partition("\n")[0]
    return line.removeprefix("# ").partition(".  make ")[0]


def _endings(net: str) -> Iterator[str]:
    _, settings = in_configs("net")[net]
    for variant in ("lin", "off_the_shelf") if settings.get("official_lin") else ("off_the_shelf",):
        for version in settings.get("versions") or ("0.1", "0.0"):
            yield f"{net}-{variant}-v{version}"
