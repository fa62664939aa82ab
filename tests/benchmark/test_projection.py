from collections import Counter

import pytest

from lpips_repro.benchmark import lin, training, val_table
from lpips_repro.benchmark.projection import TABLE_WEIGHTS, projections
from lpips_repro.benchmark.rate_table import PROJECTED, Row
from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.evaluation.methods.published import list_methods
from tests.compose import settings

NETS = ("alex", "squeeze", "vgg")


def rows_of(net: str) -> list[Row]:
    def row(task: str, rate: float, mode: str = "eager", precision: str = "float32") -> Row:
        return Row(task, net, 50, mode=mode, precision=precision, rate=rate)

    return [
        row(lin.PASS, 1514.0),
        row(lin.STEP, 15140.0),
        row(training.TASK, 151.4),
        row(training.TASK, 302.8, "compiled", "bfloat16"),
        Row(training.TASK, net, 50, implementation="lpips", mode="eager", precision="float32", rate=1e9),
        row(val_table.TASK, 36344.0),
    ]


def test_times_are_computed_from_the_rates():
    found = {(row.task, row.net, row.mode): row.seconds for row in projections([r for n in NETS for r in rows_of(n)])}
    assert found[PROJECTED + "lin training", "vgg", "default: eager"] == pytest.approx(100 + 100)
    assert found[PROJECTED + "tune or scratch epoch", "vgg", "default: eager"] == pytest.approx(1000)
    assert found[PROJECTED + "tune or scratch training", "vgg", "fastest: compiled"] == pytest.approx(5000)
    assert found[PROJECTED + "all nine trainings", "", "default"] == pytest.approx(3 * (200 + 2 * 10000))
    assert found[PROJECTED + "networks of the val table", "", "fastest"] == pytest.approx(4)


def test_sums_need_all_networks():
    tasks = {row.task.removeprefix(PROJECTED) for row in projections(rows_of("alex"))}
    assert tasks == {"lin training", "tune or scratch epoch", "tune or scratch training"}


def test_the_val_table_has_the_weights_of_networks_that_are_projected_in_two_versions_each():
    published = "net=[alex_gaussian,squeeze,alex,vgg]"  # the others need a file
    methods = list_methods(parse(settings("evaluate", published), EvaluateConfig))
    passes = {(method.name, method.version) for method in methods if method.variant}
    assert {net: 2 * count for net, count in TABLE_WEIGHTS.items()} == Counter(
        name.partition("-")[0] for name, _ in passes
    )
