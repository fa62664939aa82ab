import csv
import json
import re
from html import unescape

import markdown
import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.mos import MOS
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.table import Row, Table
from lpips_repro.evaluation.tables.writer import KEYS, terminal_table, write_tables


def table(*rows, columns=("all",), with_paper=False, protocol=TWOAFC):
    return Table(protocol, rows, columns, dict.fromkeys(columns, 40), "Judgments: human observers.", with_paper)


def row(method="ssim", group="low-level", **scores):
    interval = {column: (score - 1, score + 1) for column, score in scores.items()}
    return Row(group, method, scores=scores, interval=interval, observers="human")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_paper_column_and_difference_are_shown(tmp_path):
    of_paper = row("l2_x", all=64.0)
    of_paper.paper = {"all": 63.2}
    text = terminal_table(table(of_paper, with_paper=True))
    assert "63.2" in text
    assert "+0.80" in text
    csv_file, _, tex, _ = write_tables(tmp_path, [table(of_paper, with_paper=True)])
    assert "63.2,+0.80,human" in csv_file.read_text()
    assert r"l2\_x" in tex.read_text()


SPECIAL = r"a&b 50% $x #1 l2_x ~^ {c} \d | <e> *f* `g` [h]"


def test_names_are_shown_as_they_are_in_latex_and_markdown(tmp_path):
    missing = Row("low-level", "other|one", note="not run: run `make x_y | z` for <this>\nnow", observers="human")
    rows = (row(SPECIAL, my_split=64.0, all=64.0), missing)
    _, text, tex, _ = write_tables(tmp_path, [table(*rows, columns=("my_split", "all"))])
    html = markdown.markdown(text.read_text(), extensions=["tables", "sane_lists"])
    cells = [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", html)]
    assert cells[:4] == ["group", "method", "my_split", "all"]
    assert cells[5] == SPECIAL
    assert cells[9] == "other|one"
    assert "<li>other|one: not run: run <code>make x_y | z</code> for <this> now</li>" in unescape(html)
    text = tex.read_text()
    assert r"a\&b 50\% \$x \#1 l2\_x \textasciitilde{}\^{} \{c\} \textbackslash{}d \textbar{} " in text
    assert r"\ensuremath{<}e\ensuremath{>} *f*" in text
    assert r"my\_split" in text
    assert all(line.startswith("%") for line in text.splitlines() if "not run" in line or line == "now")


def test_the_best_method_of_each_column_is_bold_in_latex_and_rules_are_those_of_booktabs(tmp_path):
    rows = [
        row("human", "observers", one=61.0, all=90.0),
        row("ssim", one=60.0, all=70.001),
        row("alex", "lpips", one=61.0, all=70.0),
        Row("lpips", "vgg", note="not run"),
    ]
    *_, tex, _ = write_tables(tmp_path, [table(*rows, columns=("one", "all"))])
    text = tex.read_text()
    assert re.findall(r"\\(?:begin|toprule|midrule|bottomrule|end)\S*", text) == [
        *(r"\begin{tabular}{llrr}", r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}")
    ]
    lines = {line.split(" & ")[1]: line for line in text.splitlines() if " & " in line}
    bold = {method: re.findall(r"\\textbf{([\d.]+)}", line) for method, line in lines.items()}
    assert bold == {"method": [], "human": [], "ssim": ["70.00"], "alex": ["61.00", "70.00"], "vgg": []}
    assert r"\textbf{61.00} {\scriptsize 60.0--62.0}" in lines["alex"]


def test_the_best_likelihood_is_the_least(tmp_path):
    of = table(row("ssim", all=0.4), row("alex", "lpips", all=0.3), protocol=PROTOCOLS["2afc-likelihood"])
    *_, tex, _ = write_tables(tmp_path, [of])
    assert re.findall(r"\\textbf{([\d.]+)}", tex.read_text()) == ["0.300"]


def test_columns_tell_what_a_row_is_and_settings_are_json(tmp_path):
    made = row("alex", "lpips", all=70.0)
    made.variant, made.version, made.label = "lin", "0.1", "mini-alex-lin-v0.1"
    made.origin, made.seed, made.run = "trained here", "0 1", "mini-alex-lin-v0.1-seed0 mini-alex-lin-v0.1-seed1"
    made.settings = {"training": {"epochs": 5, "learning_rate": 1e-4}, "lin": ["a", "b"], "compiled": True}
    absent = Row("lpips", "vgg", note="not run")
    line, other = read(write_tables(tmp_path, [table(made, absent)])[0])
    assert json.loads(other["settings"]) == {}  # what reads all of them as JSON
    assert (*list(line)[:9],) == KEYS
    assert [line[key] for key in KEYS] == [
        *("mini-alex-lin-v0.1", "lpips", "alex", "lin", "0.1", "", "trained here", "0 1"), made.run
    ]  # fmt: skip
    assert json.loads(line["settings"]) == made.settings
    assert "alex lin v0.1 (trained here, 2 seeds)" in terminal_table(table(made))


def test_two_rows_of_one_label_are_an_error():
    with pytest.raises(UserError, match="twoafc: two rows are called ssim: give one of them another name"):
        table(row("ssim", all=1.0), row("ssim", all=2.0))


def test_all_tables_have_their_numbers_in_long_form(tmp_path):
    first, other = row("ssim", one=60.0, all=61.5), row("ssim", all=50.0)
    first.paper, first.spread = {"all": 63.2}, {"one": 0.5, "all": 0.25}
    absent = Row("lpips", "vgg", note="not run")
    tables = [table(first, absent, columns=("one", "all"), with_paper=True), table(other, absent, protocol=JND)]
    *_, path = write_tables(tmp_path, tables)
    lines = read(path)
    assert path.name == "scores.csv"
    assert list(lines[0]) == ["kind", "label", "split", "statistic", "value"]
    assert [tuple(line.values()) for line in lines] == [
        *(("2afc", "ssim", "one", k, v) for k, v in
          {"score": "60.00", "low": "59.00", "high": "61.00", "sd": "0.50", "n": "40"}.items()),
        *(("2afc", "ssim", "all", k, v) for k, v in
          {"score": "61.50", "low": "60.50", "high": "62.50", "sd": "0.25", "paper": "63.2", "difference": "-1.70",
           "n": "40"}.items()),
        *(("jnd", "ssim", "all", k, v) for k, v in
          {"score": "50.00", "low": "49.00", "high": "51.00", "n": "40"}.items()),
    ]  # fmt: skip


def test_a_protocol_of_several_tables_has_a_heading_for_each_and_its_own_number_of_decimals(tmp_path):
    columns = MOS.columns(["48"])
    scores = row("psnr", **{column: 0.98765 for column in columns})
    text = terminal_table(table(scores, columns=columns, protocol=MOS))
    assert [text.count(word) for word in ("Spearman\n", "Kendall\n", "mean 95 % CI")] == [1, 1, 2]
    assert "0.988" in text and "0.98765" not in text
    csv_file, md_file, tex_file, _ = write_tables(tmp_path, [table(scores, columns=columns, protocol=MOS)])
    assert csv_file.name == "tid2013.csv"
    assert read(csv_file)[0]["kendall_48"] == "0.9877"
    assert md_file.read_text().count("<sub>-0.012 to 1.988</sub>") == 2  # of the means alone
    assert tex_file.read_text().count(r"\toprule") == 2
