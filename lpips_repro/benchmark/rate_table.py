"""The rows of the benchmark, printed as a table and written as a CSV. A row is a rate and what it is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from lpips_repro.files import write_csv


@dataclass
class Row:
    """A measured rate, or a projected time.

    Attributes:
        task: name of the task, such as "evaluation".
        net, batch, mode, precision: network, examples per call, "eager" or "compiled", and data type.
        implementation: "ours", another package, or a floor such as "bare backbone".
        rate, rate_low, rate_high: median and quartiles, in `unit`.
        peer, ratio: implementation that ours is compared with, and our rate divided by its rate.
        floor, floor_rate, share_of_floor: the work that every such implementation has to do, its rate in the same run,
            and our rate divided by it.
        share_of_peak: operations of the network per second, divided by the peak of the device.
        difference: largest difference from the values of our eager float32 implementation, relative to the largest.
        repeats: number of rounds.
        seconds: projected time.
        memory_mb: peak memory in megabytes, without mapped files.
        note: why there is no rate, or a remark.
    """

    task: str
    net: str = ""
    batch: int | None = None
    implementation: str = "ours"
    mode: str = ""
    precision: str = ""
    rate: float | None = None
    rate_low: float | None = None
    rate_high: float | None = None
    unit: str = ""
    peer: str = ""
    ratio: float | None = None
    floor: str = ""
    floor_rate: float | None = None
    share_of_floor: float | None = None
    share_of_peak: float | None = None
    difference: float | None = None
    repeats: int | None = None
    seconds: float | None = None
    memory_mb: float | None = None
    note: str = ""


PROJECTED = "projected: "


def write_rates(path: Path, rows: Sequence[Any], machine: Mapping[str, str]) -> None:
    """Write rows of one dataclass as a CSV; `machine` is added to each row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, ({**cells_of(row), **machine} for row in rows))


def cells_of(row: Any) -> dict[str, object]:
    """Return the cells of a row for a CSV; floats have five significant digits."""
    return {key: f"{value:.5g}" if isinstance(value, float) else value for key, value in asdict(row).items()}


def render(rows: Sequence[Row]) -> str:
    """Return rows as a text table, with the notes below it."""
    lines = [_projection(row) if row.task.startswith(PROJECTED) else _measurement(row) for row in rows]
    # Columns that are empty in all rows are left out.
    used = [key for key in lines[0] if any(line[key] for line in lines)]
    table = [{key: line[key] for key in used} for line in lines]
    notes = [f"  {' '.join(filter(None, _name(row)))}: {row.note}" for row in rows if row.note]
    return "\n".join([tabulate(table, headers="keys", tablefmt="simple", disable_numparse=True), *notes])


def _name(row: Row) -> tuple[str, ...]:
    return row.task, row.net, row.implementation, row.mode, row.precision


def _measurement(row: Row) -> dict[str, str]:
    def times(value: float | None, name: str) -> str:
        return "" if value is None else f"{value:.3g}x {name}"

    return {
        "task": row.task,
        "net": row.net,
        "batch": "" if row.batch is None else str(row.batch),
        "implementation": row.implementation,
        "mode": row.mode,
        "precision": row.precision,
        "rate": "not run" if row.rate is None else f"{row.rate:.4g} {row.unit}",
        "quartiles": "" if row.rate_low is None else f"{row.rate_low:.4g} - {row.rate_high:.4g}",
        "of peer's": times(row.ratio, row.peer),
        "of floor's": times(row.share_of_floor, row.floor),
        "of peak": "" if row.share_of_peak is None else f"{100 * row.share_of_peak:.1f} %",
        "memory": "" if row.memory_mb is None else f"{row.memory_mb:.0f} MB",
        "difference": "" if row.difference is None else f"{row.difference:.1e}",
    }


def _projection(row: Row) -> dict[str, str]:
    minutes, seconds = divmod(round(row.seconds or 0), 60)
    hours, minutes = divmod(minutes, 60)
    time = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
    return {"task": row.task, "net": row.net, "mode": row.mode, "precision": row.precision, "time": time}
