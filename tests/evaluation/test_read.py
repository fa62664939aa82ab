import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.read import read_rows
from lpips_repro.evaluation.tables import Row
from lpips_repro.evaluation.write import write_tables


def row(origin="", settings="", **scores):
    """A row as the evaluation makes it."""
    interval = {column: (score - 1, score + 1) for column, score in scores.items()}
    made = Row("lpips", "alex", "lin", "0.1", "supervised", scores, interval, observers="human", settings=settings)
    made.origin = origin
    return made


def test_rows_come_back_as_they_were_written(tmp_path):
    seeds = "trained here, seed 3, ab12: trained_here=r3 lin=c; trained here, seed 4, ab12: trained_here=r4 lin=d"
    rows = [
        row(settings="backbone=alex resize=none (stored at 64x64)", mine=60.25, all=61.0),
        row("trained here, seed 3", "trained here, seed 3: trained_here=r3 backbone=alex", mine=62.0, all=63.0),
        row("trained here, 2 seeds, ab12", seeds, mine=64.0, all=65.0),
        Row(
            "supervised", "vgg", "off_the_shelf", "0.0", "supervised", observers="human", note="not run: no weights: x"
        ),
    ]
    rows[2].spread = {"mine": 0.5, "all": 0.25}
    rows[0].paper = {"all": 63.2}
    write_tables(tmp_path, "2afc", rows, ("mine", "all"), with_paper=True)
    for found, written in zip(read_rows(tmp_path, "2afc"), rows, strict=True):
        assert (found.label, found.group, found.note) == (written.label, written.group, written.note)
        assert (found.scores, found.observers) == (written.scores, "human")


def test_a_table_that_is_not_there_is_an_error_with_the_command(tmp_path):
    with pytest.raises(UserError, match=r"jnd.csv: no such table: run `make eval-tables` first"):
        read_rows(tmp_path, "jnd")


@pytest.mark.parametrize(
    "text",
    [
        "method,all\nalex,1\n",
        "group,method,variant,version,supervision,all,all_lo,observers,settings,note\na,b,,,,x,1,,,\n",
        "group,method,variant,version,supervision,observers,settings,note\na,b\n",
    ],
)
def test_what_is_no_table_is_an_error_that_names_the_file(tmp_path, text):
    (tmp_path / "twoafc.csv").write_text(text)
    with pytest.raises(UserError, match=r"twoafc.csv: not a table of `make eval-tables` \(.*\): run that again"):
        read_rows(tmp_path, "2afc")
