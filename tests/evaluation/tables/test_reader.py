import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.reader import read_rows
from lpips_repro.evaluation.tables.table import Row, Table
from lpips_repro.evaluation.tables.writer import write_tables


def row(label, origin="", seed="", run="", **scores):
    """A row as the evaluation makes it."""
    interval = {column: (score - 1, score + 1) for column, score in scores.items()}
    made = Row("lpips", "alex", "lin", "0.1", "supervised", scores, interval, observers="human", label=label)
    made.origin, made.seed, made.run = origin, seed, run
    return made


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = [
        row("alex-lin-v0.1", mine=60.25, all=61.0),
        row("mini-seed3", "trained here, seed of 4", "3", "mini-seed3", mine=62.0, all=63.0),
        row("mini", "trained here, ab12", "3 4", "mini-seed3 mini-seed4", mine=64.0, all=65.0),
        Row(
            "supervised", "vgg", "off_the_shelf", "0.0", "supervised", observers="human", note="not run: no weights: x"
        ),
    ]
    rows[0].paper = {"all": 63.2}
    rows[0].settings = {"backbone": "alex", "resize": "none (stored at 64x64)", "libraries": {"torch": "2"}}
    rows[2].spread = {"mine": 0.5, "all": 0.25}
    columns = ("mine", "all")
    write_tables(tmp_path, [Table(TWOAFC, rows, columns, dict.fromkeys(columns, 9), "Judgments.", with_paper=True)])
    assert read_rows(tmp_path, TWOAFC) == rows


def test_an_interval_of_nan_is_no_interval(tmp_path):
    one = row("alex-lin-v0.1", mine=60.25, all=61.0)
    one.interval["mine"] = (float("nan"), float("nan"))
    write_tables(tmp_path, [Table(TWOAFC, [one], ("mine", "all"), {"mine": 9, "all": 9}, "Judgments.")])
    (found,) = read_rows(tmp_path, TWOAFC)
    assert (found.scores, found.interval) == (one.scores, {"all": (60.0, 62.0)})


def test_a_table_that_is_not_there_is_an_error_with_the_command(tmp_path):
    with pytest.raises(UserError, match=r"jnd.csv: no such table: run `make eval-tables` first"):
        read_rows(tmp_path, JND)


KEYS = "label,group,method,variant,version,supervision,origin,seed,run"


@pytest.mark.parametrize(
    "text",
    [
        "method,all\nalex,1\n",
        f"{KEYS},all,all_lo,all_hi,observers,settings,note\na,a,b,,,,,,,x,1,1,,,\n",
        f"{KEYS},all,all_lo,observers,settings,note\na,a,b,,,,,,,1,1,,,\n",
        f"{KEYS},observers,settings,note\na,a,b,,,,,,,,backbone=alex,\n",
        f"{KEYS},observers,settings,note\na,a,b\n",
        f"{KEYS},observers,settings,note\na,a,b,,,,,,,,[],\n",
        f'{KEYS},observers,settings,note\na,a,b,,,,,,,,"{{""bootstrap"": 5}}",\n',
        f'{KEYS},observers,settings,note\na,a,b,,,,,,,,"{{""bootstrap"": {{""replicates"": ""9"", ""seed"": 0}}}}",\n',
        f"{KEYS},observers,settings,note\na,a,b,,,,,,,,{'[' * 100_000},\n",
        *(
            f"{KEYS},all,all_lo,all_hi,observers,settings,note\na,a,b,,,,,,,{value},1,1,,{{}},\n"
            for value in ("nan", "inf", "1e999", "1_000")
        ),
    ],
)
def test_what_is_no_table_is_an_error_that_names_the_file(tmp_path, text):
    (tmp_path / "twoafc.csv").write_text(text)
    with pytest.raises(
        UserError, match=r"twoafc.csv: not a table of `make eval-tables` \(line \d: .*\): run that again"
    ):
        read_rows(tmp_path, TWOAFC)
