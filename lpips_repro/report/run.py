"""The report on a dataset: figures and a page of all tables, distances, runs and weights that exist (`make report`)."""

import json
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from lpips_repro.config import ReportConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.config.outputs import check_output
from lpips_repro.errors import UserError, check_choice
from lpips_repro.files import read_json, write_whole, written_together
from lpips_repro.files.locks import exclusive
from lpips_repro.metrics.lpips import VERSIONS
from lpips_repro.report.all_pairs import PAIRS, RANKS, write_all_pairs
from lpips_repro.report.figure_inputs import Inputs
from lpips_repro.report.figure_list import figures_of
from lpips_repro.report.figures import save_figure
from lpips_repro.report.figures.style import FORMATS
from lpips_repro.report.page.chosen_examples import named_examples
from lpips_repro.report.page.make import make_page
from lpips_repro.report.page.table_library import NotInstalledError
from lpips_repro.runs.record import record_run

RECORD = "figures.json"  # the figures that were made, and why others were not


def write_report(composed: DictConfig) -> None:
    """Write the figures and the page of the composed settings (`configs/report.yaml`), and print a line per figure.

    Figures that cannot be made are left out with the reason. Those of an earlier report that are not made again are
    removed.

    Raises:
        UserError: if a setting cannot be used, or no figure can be made.
    """
    cfg = parse(composed, ReportConfig)
    check_choice("version", cfg.version, VERSIONS)
    for version in cfg.versions:
        check_choice("versions", version, VERSIONS)
    folder = Path(cfg.experiments) / cfg.name
    check_output(folder, "make report")
    check_writable("experiments", folder / "figures")
    record_run(folder, composed)
    inputs = Inputs(cfg)
    _check_examples(inputs, cfg.report.examples)  # before the figures, which take minutes
    with exclusive(folder):
        _write_pairs(folder, inputs)
        made, left_out = _write_figures(inputs, folder / "figures")
    if not made:
        raise UserError(f"{folder / 'figures'}: no figure can be made: run `make eval-tables` or `make train` first")
    print(f"written: {len(made)} figures in {folder / 'figures'}")
    try:
        print(f"the page: {make_page(inputs, folder, made, left_out)}")
    except NotInstalledError as error:
        print(f"left out: the page: {error}")


def _check_examples(inputs: Inputs, names: Sequence[str]) -> None:
    """UserError if a name is not that of an example; if there are no examples, the page has the reason."""
    if not names:
        return
    try:
        splits = [*inputs.splits.values()]
    except UserError:
        return
    named_examples(splits, names)


def _write_figures(inputs: Inputs, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Write the figures; returns, by name, the titles of those that were made and the reasons for the others."""
    made, left_out = {}, {}
    with written_together(folder) as new:
        for entry in figures_of(inputs):
            try:
                save_figure(entry.draw(), new, entry.name)
            except UserError as error:
                left_out[entry.name] = str(error)
                print(f"left out: {entry.title}: {error}")
            else:
                made[entry.name] = entry.title
                print(f"{entry.title}: {folder / entry.name}.{{{','.join(FORMATS)}}}")
        for name in _earlier(folder) - made.keys():
            for suffix in FORMATS:
                (new / f"{name}.{suffix}").touch()  # removed: see `written_together`
        write_whole(new / RECORD, json.dumps({"made": made, "left out": left_out}, indent=2) + "\n")
    return made, left_out


def _write_pairs(folder: Path, inputs: Inputs) -> None:
    """Write the differences between all pairs of methods; if there are none, remove those of an earlier report."""
    try:
        files = write_all_pairs(folder, inputs.pairs)
    except UserError as error:
        with written_together(folder) as new:
            for name in (PAIRS, RANKS):
                (new / name).touch()  # removed: see `written_together`
        print(f"left out: differences between all pairs of methods: {error}")
    else:
        print(f"differences between all pairs of methods: {', '.join(map(str, files))}")


def _earlier(folder: Path) -> set[str]:
    """The names of the figures of an earlier report."""
    try:
        return {name for name in read_json(folder / RECORD)["made"] if Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
