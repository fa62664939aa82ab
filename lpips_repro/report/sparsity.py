"""Share of calibrated ("lin") weights that are zero, per layer (paper, Figure 10; `make sparsity`).

Rows are the official weights, all finished training runs, and files that the user names.
"""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tabulate import tabulate
from torch import Tensor

from lpips_repro.config import Observers, SparsityConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.config.outputs import check_output
from lpips_repro.config.yaml_files import read_settings
from lpips_repro.errors import UserError, check_choice
from lpips_repro.evaluation.methods.finished_runs import TrainedRun, find_runs
from lpips_repro.evaluation.tables.escape import markdown_with_code, plain
from lpips_repro.files import write_csv, write_whole, written_together
from lpips_repro.files.locks import exclusive
from lpips_repro.metrics.lpips import VERSIONS
from lpips_repro.metrics.lpips.sparsity import ZERO, lin_layers, shares_below
from lpips_repro.runs.record import record_run
from lpips_repro.weights.official_lin import official_lin_state
from lpips_repro.weights.state_dicts import read_state

log = logging.getLogger(__name__)

# Figure 10, in percent, from conv1 to conv5.
PAPER = {"alex": (79.7, 71.4, 56.8, 46.5, 27.7)}
SIMULATED = "SIMULATED judgments"
CAPTION = (
    f"Share of lin weights below {ZERO:g}, in percent, per layer and over all. The official v0.0 weights have the"
    " paper's figures."
)
SIMULATED_CAPTION = (
    f"Rows of {SIMULATED} were trained on the votes of a model, not of people: they tell nothing about human vision."
)


@dataclass
class Row:
    """A row of the table.

    Attributes:
        label: name of the weights; source: their origin.
        layers, all: share of zeros in percent, per layer and over all.
        note: why there are no shares.
    """

    label: str
    source: str
    layers: Sequence[float] = field(default_factory=list)
    all: float | None = None
    note: str = ""


def write_sparsity(composed: DictConfig) -> None:
    """Write `sparsity.csv` and `sparsity.md` for the composed settings (`configs/sparsity.yaml`), and print the table.

    Raises:
        UserError: if a setting or a file that it names cannot be used.
    """
    cfg = parse(composed, SparsityConfig)
    for version in cfg.versions:
        check_choice("versions", version, VERSIONS)
    asked_for = [_row(str(path), "file asked for", read_state(Path(path))) for path in cfg.weights]
    folder = Path(cfg.experiments) / cfg.name
    check_output(folder, "make sparsity")
    check_writable("experiments", folder)
    rows = _official_rows(cfg)
    if cfg.trained:
        rows += [_run_row(run) for run in find_runs(Path(cfg.experiments))]
    rows += asked_for
    if not rows:
        raise UserError("net=[]: nothing to describe: name a network, or a file: weights=[FILE]")
    table = _cells(rows)
    simulated = any(SIMULATED in row.source for row in rows)
    caption = f"{CAPTION} {SIMULATED_CAPTION}" if simulated else CAPTION
    with exclusive(folder), written_together(folder) as new:
        record_run(new, composed)
        write_csv(new / "sparsity.csv", table)
        text = f"# Sparsity of lin weights\n\n{caption}\n\n{_render(table, 'github', markdown_with_code)}\n"
        write_whole(new / "sparsity.md", text)
    print(f"{caption}\n\n{_render(table, 'simple', plain)}\n")
    print(f"written: {folder / 'sparsity.csv'}, {folder / 'sparsity.md'}")


def _official_rows(cfg: SparsityConfig) -> list[Row]:
    rows = []
    for net in cfg.net.values():
        if not net.official_lin:
            continue
        if net.backbone in PAPER:
            rows.append(Row(f"{net.backbone} lin", "paper, Figure 10", PAPER[net.backbone]))
        for version in cfg.versions:
            get = functools.partial(official_lin_state, net.backbone, version, cfg.download)
            rows.append(_try_row(f"{net.backbone} lin v{version}", "official", get))
    return rows


def _run_row(run: TrainedRun) -> Row:
    data = f"{run.data} ({SIMULATED})" if is_simulated(run.folder, run.data) else run.data
    source = f"trained here on {data}, seed {run.seed}, {run.folder.name}"
    label = f"{run.net} {run.variant} v{run.version}"
    return _try_row(label, source, run.state)


def is_simulated(run: Path, data: str) -> bool:
    """Return whether a run was trained on simulated judgments.

    Args:
        run: folder of the run; data: name of its data.

    Raises:
        UserError: if the settings of the run cannot be read.
    """
    if data == "mini":
        return True
    try:
        observers = OmegaConf.select(read_settings(run / "config.yaml"), "data.observers")
    except FileNotFoundError:
        return False
    except (OSError, ValueError, OmegaConfBaseException) as error:
        remedy = f"run the command in {run / 'run.json'} again, which writes the file"
        raise UserError(f"{run / 'config.yaml'}: cannot be read, so that who judged is not known: {remedy}") from error
    return observers == Observers.simulated.value


def _try_row(label: str, source: str, get: Callable[[], Mapping[str, Tensor]]) -> Row:
    """A row of weights, or a row with the reason if they are not available."""
    try:
        return _row(label, source, get())
    except UserError as error:
        log.warning("%s: not run: %s", label, error)
        return Row(label, source, note=f"not run: {error}")


def _row(label: str, source: str, state: Mapping[str, Tensor]) -> Row:
    try:
        return Row(label, source, *shares_below(lin_layers(state)))
    except UserError as error:
        raise UserError(f"{label}: {error}") from error


def _cells(rows: Sequence[Row]) -> list[dict[str, str]]:
    """A dictionary of cells per row, with as many layers as the deepest network has."""
    layers = range(max((len(row.layers) for row in rows), default=0))
    table = []
    for row in rows:
        line = {"label": row.label, "source": row.source}
        line |= {f"layer{k + 1}": f"{row.layers[k]:.1f}" if k < len(row.layers) else "" for k in layers}
        line |= {"all": "" if row.all is None else f"{row.all:.1f}", "note": row.note}
        table.append(line)
    return table


def _render(table: Sequence[Mapping[str, str]], style: str, escape: Callable[[str], str]) -> str:
    """The table as text, with the reasons for rows without shares below it."""
    shown = [{key: escape(value) for key, value in line.items() if key != "note"} for line in table]
    aligned = ("left", "left", *("right",) * (len(shown[0]) - 2))
    notes = [f"- {escape(line['label'])}: {escape(line['note'])}" for line in table if line["note"]]
    text = tabulate(shown, headers="keys", tablefmt=style, colalign=aligned, disable_numparse=True)
    return "\n".join([text, *([""] if notes else []), *notes])
