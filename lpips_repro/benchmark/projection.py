"""Times of the paper's trainings and tables, projected from measured rates."""

import math
from collections.abc import Callable, Iterable, Sequence

from lpips_repro.benchmark import lin, training, val_table
from lpips_repro.benchmark.implementations import OURS
from lpips_repro.benchmark.rate_table import PROJECTED, Row

TRAIN_TRIPLETS, VAL_TRIPLETS, EPOCHS = 151_400, 36_344, 10  # of BAPPS, and of the paper's schedule
NETS = ("alex", "squeeze", "vgg")
# Number of weights per network in the 2AFC table, each in versions 0.0 and 0.1; alex is also in it with random weights.
TABLE_WEIGHTS = {"alex": 2, "squeeze": 1, "vgg": 1}


def projections(rows: Sequence[Row]) -> list[Row]:
    """Return rows of projected times, at the default settings (eager, float32) and at the fastest ones.

    Times that depend on a missing rate are left out. Validation, reading data and writing tables are not included.
    """
    return [*_projected(rows, "default", _default), *_projected(rows, "fastest", _fastest)]


def _projected(rows: Sequence[Row], which: str, choose: Callable[[Iterable[Row]], Row | None]) -> list[Row]:
    result: list[Row] = []
    trainings: list[float] = []
    table: list[float] = []

    def add(task: str, net: str, seconds: float, row: Row | None = None) -> float:
        mode, precision = (f"{which}: {row.mode}", row.precision) if row else (which, "")
        result.append(Row(PROJECTED + task, net, mode=mode, precision=precision, seconds=seconds))
        return seconds

    for net in NETS:
        features, on_features, step, rows_of_table = (
            choose(row for row in rows if (row.task, row.net, row.implementation) == (task, net, OURS))
            for task in (lin.PASS, lin.STEP, training.TASK, val_table.TASK)
        )
        if features and on_features:
            seconds = TRAIN_TRIPLETS / _rate(features) + EPOCHS * TRAIN_TRIPLETS / _rate(on_features)
            trainings.append(add("lin training", net, seconds, features))
        if step:
            epoch = add("tune or scratch epoch", net, TRAIN_TRIPLETS / _rate(step), step)
            trainings += 2 * [add("tune or scratch training", net, EPOCHS * epoch, step)]
        if rows_of_table:
            table.append(TABLE_WEIGHTS[net] * VAL_TRIPLETS / _rate(rows_of_table))
    if len(trainings) == 3 * len(NETS):
        add("all nine trainings", "", sum(trainings))
    if len(table) == len(NETS):
        add("networks of the val table", "", sum(table))
    return result


def _default(rows: Iterable[Row]) -> Row | None:
    return next((row for row in rows if row.rate and (row.mode, row.precision) == ("eager", "float32")), None)


def _fastest(rows: Iterable[Row]) -> Row | None:
    return max((row for row in rows if row.rate), key=_rate, default=None)


def _rate(row: Row) -> float:
    return row.rate or math.nan
