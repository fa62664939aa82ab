"""Tables with the credit of each example, from the stored distances of their rows."""

from collections.abc import Sequence
from pathlib import Path

from lpips_repro.datasets.split import Split, content_of
from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import Protocol
from lpips_repro.evaluation.tables.kept_tables import FILE as DATA_FILE
from lpips_repro.evaluation.tables.reader import read_rows
from lpips_repro.evaluation.tables.table import Bootstrap, Row, Table, add_scores
from lpips_repro.evaluation.usable_splits import usable_splits
from lpips_repro.files import read_json
from lpips_repro.progress import Progress
from lpips_repro.report.stored_distances import distances_of, number_of_seeds, warn_of_left_out


def splits_of_tables(folder: Path, splits: Sequence[Split], kind: str) -> list[Split]:
    """Return the validation splits of a kind that have a score.

    Args:
        folder: folder of the tables.
        splits: validation splits of the dataset.
        kind: kind of judgments, such as "2afc".

    Raises:
        UserError: if the tables are of other data, or do not name their data.
    """
    known = _data_of(folder)
    if not known:
        raise UserError(f"{folder / DATA_FILE}: does not name the data of the tables: run `make eval-tables`")
    own = [split for split in splits if split.card["kind"] == kind]
    found = usable_splits(own) if own else []
    content = content_of(found)
    if different := sorted(name for name in content if content[name] != known.get(name)):
        raise UserError(
            f"{folder}: its tables are of another {different[0]} than the packed one: run `make eval-tables` again"
        )
    return found


def stored_table(
    folder: Path, protocol: Protocol, splits: Sequence[Split], experiments: Path
) -> tuple[Table, Bootstrap, dict[str, str]]:
    """Return the methods of a table with their credits and resamples, which the files of a table do not have.

    Args:
        folder: folder of the tables.
        protocol: protocol of the table; splits: its splits.
        experiments: folder that contains `distances/`.

    Returns:
        The table; the same resamples as when it was written; and by label the reasons for rows that are left out: not
        run, distances not stored, or distances that do not give the scores of the table.

    Raises:
        UserError: if the table does not exist, or has no row with scores.
    """
    every = [row for row in read_rows(folder, protocol) if row.group != "observers"]
    rows = [row for row in every if row.scores]
    if not rows:
        raise UserError(f"{folder / protocol.file}.csv: no method has a score")
    drawn = rows[0].settings.get("bootstrap")
    if drawn is None:
        raise UserError(f"{folder / protocol.file}.csv: does not name its resamples: run `make eval-tables` again")
    bootstrap = Bootstrap(protocol, splits, drawn["replicates"], drawn["seed"])
    made, unusable = [], {}
    for row in Progress(rows, f"stored distances of the {protocol.name} table", unit="row", leave=False):
        try:
            _read(row, splits, experiments, bootstrap)
        except UserError as error:
            unusable[row.label] = str(error)
        else:
            made.append(row)
    warn_of_left_out(unusable)
    left_out = {row.label: row.note for row in every if not row.scores} | unusable
    counts = {split.card["split"]: len(split) for split in splits}
    return Table(protocol, made, protocol.columns(tuple(counts)), protocol.counts(counts), ""), bootstrap, left_out


def bootstrap_of(row: Row, protocol: Protocol, splits: Sequence[Split]) -> Bootstrap:
    """Return the resamples of the table of a row, given its splits.

    Raises:
        UserError: if the settings of the row do not name them.
    """
    drawn = row.settings.get("bootstrap")
    if not isinstance(drawn, dict):
        raise UserError(f"{row.label}: its table does not name its resamples: run `make eval-tables` again")
    return Bootstrap(protocol, splits, drawn["replicates"], drawn["seed"])


def _data_of(folder: Path) -> dict[str, str]:
    try:
        return dict(read_json(folder / DATA_FILE)["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _read(row: Row, splits: Sequence[Split], experiments: Path, bootstrap: Bootstrap) -> None:
    """Set the scores, credits and resamples of a row from its stored distances."""
    written = row.scores
    runs = []
    for seed in range(number_of_seeds(row)):
        found = distances_of(row, splits, experiments, seed)
        runs.append({split.card["split"]: found[split.name] for split in splits})
    add_scores(row, runs, bootstrap)
    rounding = 0.51 * 10**-bootstrap.protocol.decimals
    if changed := [name for name, score in written.items() if not abs(row.scores.get(name, 0) - score) <= rounding]:
        raise UserError(
            f"{row.label}: its stored distances give another score on {changed[0]}: run `make eval-tables` again"
        )
