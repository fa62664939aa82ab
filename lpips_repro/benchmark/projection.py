"""How long the paper's trainings and tables would take at the rates measured: projected, not run."""

from collections.abc import Callable, Iterable, Sequence

from lpips_repro.benchmark import lin, training
from lpips_repro.benchmark.compare import OURS
from lpips_repro.benchmark.rows import PROJECTED, Row

TRAIN_TRIPLETS, VAL_TRIPLETS, EPOCHS = 151_400, 36_344, 10  # of BAPPS, and of the paper's schedule
NETS = ("alex", "squeeze", "vgg")
# Rows of a network in the 2AFC table: off the shelf and lin, in versions 0.0 and 0.1; of alex also with random weights.
TABLE_ROWS = {"alex": 6, "squeeze": 4, "vgg": 4}


def projections(rows: Sequence[Row]) -> list[Row]:
    """Times at the default settings, eager and float32, and at the fastest ones; what was not measured is left out.

    Validation, reading of the data and writing of tables are not in them.
    """
    return [*_projected(rows, "default", _default), *_projected(rows, "fastest", _fastest)]


def _projected(rows: Sequence[Row], which: str, choose: Callable[[Iterable[Row]], Row | None]) -> list[Row]:
    result, trainings, table = [], [], []

    def add(task: str, net: str, seconds: float, row: Row | None = None) -> float:
        mode, precision = (f"{which}: {row.mode}", row.precision) if row else (which, "")
        result.append(Row(PROJECTED + task, net, mode=mode, precision=precision, seconds=seconds))
        return seconds

    for net in NETS:
        found = {
            task: choose(row for row in rows if (row.task, row.net, row.implementation) == (task, net, OURS))
            for task in (lin.PASS, lin.STEP, training.TASK, "evaluation")
        }
        if found[lin.PASS] and found[lin.STEP]:
            seconds = TRAIN_TRIPLETS / found[lin.PASS].rate + EPOCHS * TRAIN_TRIPLETS / found[lin.STEP].rate
            trainings.append(add("lin training", net, seconds, found[lin.PASS]))
        if step := found[training.TASK]:
            epoch = add("tune or scratch epoch", net, TRAIN_TRIPLETS / step.rate, step)
            trainings += 2 * [add("tune or scratch training", net, EPOCHS * epoch, step)]
        if evaluation := found["evaluation"]:
            table.append(TABLE_ROWS[net] * VAL_TRIPLETS / evaluation.rate)
    if len(trainings) == 3 * len(NETS):
        add("all nine trainings", "", sum(trainings))
    if len(table) == len(NETS):
        add("networks of the val table", "", sum(table))
    return result


def _default(rows: Iterable[Row]) -> Row | None:
    return next((row for row in rows if row.rate and (row.mode, row.precision) == ("eager", "float32")), None)


def _fastest(rows: Iterable[Row]) -> Row | None:
    return max((row for row in rows if row.rate), key=lambda row: row.rate, default=None)
