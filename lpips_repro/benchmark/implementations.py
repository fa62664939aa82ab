"""Comparison of several implementations of a task: built, checked against each other, and timed alternating."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lpips_repro.benchmark.machine import peak_flops
from lpips_repro.benchmark.rate_table import Row
from lpips_repro.benchmark.timing import Times, alternate
from lpips_repro.errors import UserError
from lpips_repro.precision import tf32
from lpips_repro.progress import Progress

OURS = "ours"
Call = Callable[[], Tensor | None]


@dataclass(frozen=True)
class Case:
    """An implementation.

    Attributes:
        implementation, mode, precision: as in `Row`.
        build: returns the call that is timed. The call returns its values, or None if they are not compared.
        tolerance: largest difference from the values of the first case, relative to the largest of these.
    """

    implementation: str
    build: Callable[[], Call]
    mode: str = "eager"
    precision: str = "float32"
    tolerance: float = 0.0

    def __str__(self) -> str:
        return f"{self.implementation} ({self.mode}, {self.precision})"


@dataclass(frozen=True)
class Comparison:
    """The properties that the cases share.

    Attributes:
        task, net, batch, unit: as in `Row`; a call works on `batch` examples.
        peer, floor: implementations that ours is compared with.
        flops: number of operations of a call.
    """

    task: str
    batch: int
    unit: str
    net: str = ""
    peer: str = ""
    floor: str = ""
    flops: float | None = None

    def __str__(self) -> str:
        return f"{self.task} {self.net}".strip()


def compare(what: Comparison, cases: Sequence[Case], rounds: Iterable, device: torch.device) -> list[Row]:
    """Time the cases alternating.

    Args:
        what: task, network and batch size.
        cases: the implementations; the values of the first one are the reference.
        rounds: one element per round; every case has one turn per round.
        device: device that the cases compute on.

    Returns:
        One row per case. If a case cannot be built, the note of its row has the reason.

    Raises:
        UserError: if the values of a case differ from those of the first one by more than its tolerance.
    """
    rows, calls, expected = {}, {}, None
    with Progress(desc=str(what), unit="step", leave=False) as bar:
        for case in cases:
            row = Row(what.task, what.net, what.batch, case.implementation, case.mode, case.precision, unit=what.unit)
            rows[str(case)] = row
            bar.update()
            try:
                call = _in_precision(case.build(), case.precision)
                values = call()
            except ModuleNotFoundError as error:
                package = (error.name or str(error)).partition(".")[0]
                row.note = f"not run: {package} is not installed: pip install -e '.[bench]'"
                continue
            except UserError as error:
                row.note = f"not run: {error}"
                continue
            calls[str(case)] = call
            if values is not None:
                values = values.detach().double().cpu()
                expected = values if expected is None else expected
                row.difference = _difference(what, case, cases[0], values, expected)
        times = alternate(calls, (bar.update() for _ in rounds), device)
    for name, seconds in times.items():
        put_rate(rows[name], seconds)
    for row in rows.values():
        if row.implementation == OURS and row.rate:
            _put_relations(row, what, list(rows.values()), device)
    return list(rows.values())


def _difference(what: Comparison, case: Case, first: Case, values: Tensor, expected: Tensor) -> float:
    difference = float((values - expected).abs().max() / expected.abs().max())
    if not difference <= case.tolerance:
        raise UserError(
            f"{what}: {case} gives other values than {first}: they differ by {difference:.2g} of the largest, expected"
            f" at most {case.tolerance:g}: its rate cannot be compared"
        )
    return difference


def put_rate(row: Row, seconds: Times) -> None:
    """Set the rate of a row from the times of a call on its batch."""
    batch = row.batch or math.nan
    row.rate, row.rate_low, row.rate_high = (batch / s for s in (seconds.median, seconds.high, seconds.low))
    row.repeats = seconds.rounds


def _put_relations(row: Row, what: Comparison, rows: Sequence[Row], device: torch.device) -> None:
    rate = row.rate or math.nan
    if (peer := _counterpart(row, what.peer, rows)) and peer.rate:
        row.peer, row.ratio = peer.implementation, rate / peer.rate
    if (floor := _counterpart(row, what.floor, rows)) and floor.rate:
        row.floor, row.floor_rate, row.share_of_floor = floor.implementation, floor.rate, rate / floor.rate
    peak = peak_flops(device, row.precision)
    if what.flops and peak:
        row.share_of_peak = what.flops * rate / what.batch / peak


def _counterpart(row: Row, implementation: str, rows: Sequence[Row]) -> Row | None:
    """The row of an implementation in the same precision, or else its fastest row."""
    found = [other for other in rows if other.implementation == implementation and other.rate]
    return max(found, key=lambda other: (other.precision == row.precision, other.rate), default=None)


def _in_precision(call: Call, precision: str) -> Call:
    def run() -> Tensor | None:
        with tf32(precision == "tf32"):
            return call()

    return run
