"""Making the page from all tables, distances, runs and figures that exist."""

from collections.abc import Mapping
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.report.figure_inputs import Inputs
from lpips_repro.report.page.built_from import built_from
from lpips_repro.report.page.examples import Examples
from lpips_repro.report.page.explorer import Explorer, make_explorer
from lpips_repro.report.page.pairs import PairColumn, pair_columns
from lpips_repro.report.page.summary import Summary, read_summaries
from lpips_repro.report.page.write import Page, write_page


def make_page(inputs: Inputs, folder: Path, figures: Mapping[str, str], left_out: Mapping[str, str]) -> Path:
    """Write the page of a report, with the reasons for missing parts, and return the path of `index.html`.

    Args:
        inputs: inputs of the report.
        folder: folder of the report.
        figures: titles of the figures by name.
        left_out: reasons for missing figures by name.

    Raises:
        UserError: if an example that the settings name does not exist, or the page cannot be written.
    """
    cfg = inputs.cfg
    summaries, no_summaries = _summaries(inputs)
    pairs, no_pairs = _pairs(inputs)
    explorer, no_explorer = _explorer(inputs)
    if explorer:
        print(explorer.statement(), flush=True)
    page = Page(
        data=cfg.data.name,
        observers=inputs.scores.observers if summaries else "",
        summaries=summaries,
        no_summaries=no_summaries,
        explorer=explorer,
        no_explorer=no_explorer,
        compared=_compared(inputs) if explorer else (0, 0),
        pairs=pairs,
        no_pairs=no_pairs,
        figures=figures,
        left_out=left_out,
        built=built_from(inputs.tables, folder, summaries, inputs.runs),
    )
    return write_page(folder, page)


def _summaries(inputs: Inputs) -> tuple[list[Summary], str]:
    """The tables, or why there are none."""
    try:
        return read_summaries(inputs.tables, inputs.scores.counts), ""
    except UserError as error:
        return [], str(error)


def _pairs(inputs: Inputs) -> tuple[list[PairColumn], str]:
    """The differences, or why there are none."""
    try:
        return pair_columns(inputs.pairs), ""
    except UserError as error:
        return [], str(error)


def _explorer(inputs: Inputs) -> tuple[Explorer | None, str]:
    """The explorer, or why there is none."""
    cfg = inputs.cfg
    try:
        examples = Examples([*inputs.splits.values()], inputs.stored)
    except UserError as error:
        return None, str(error)
    if not len(examples):
        return None, "the data have no 2AFC examples"
    if not examples.methods:
        return None, "no row of the 2AFC table has stored distances: run `make eval-tables`"
    return make_explorer(examples, cfg.report, inputs.experiments, cfg.download), ""


def _compared(inputs: Inputs) -> tuple[int, int]:
    """The indices of the two methods that are selected at first: a metric and a network, or the first two."""
    try:
        labels = [row.shown for row, _ in inputs.stored]
        one, other = (labels.index(judged.label) for judged in inputs.compared())
    except UserError:
        return 0, min(1, len(inputs.stored) - 1)
    return one, other
