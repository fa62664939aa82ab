"""Who judged a folder in the BAPPS layout: the labels of its folders of judgments, and the setting.

Simulated judgments that this program writes have a file `observers.json` next to the votes, such as
`2afc/val/traditional/judge/observers.json`. So they stay labeled if the folder is moved, for any settings.
"""

from pathlib import Path

from lpips_repro.config import Observers
from lpips_repro.datasets.packed import VOTE_FIELD
from lpips_repro.errors import UserError
from lpips_repro.files import read_json

LABEL = "observers.json"
UNKNOWN = "unknown"  # neither labels nor settings name the observers


def observers_of(root: Path, stated: Observers | None) -> str:
    """The observers of all splits of a folder: "human", "simulated" or "unknown".

    Args:
        root: the dataset's folder; stated: the setting `data.observers`.

    Raises:
        UserError: if the setting contradicts a label, if labels differ, or if a label cannot be read.
    """
    votes = [folder for kind, field in VOTE_FIELD.items() for folder in sorted(root.glob(f"{kind}/*/*/{field}"))]
    different: dict[str | None, Path] = {}
    for folder in votes:
        different.setdefault(label_of(folder), folder)
    if len(different) > 1:
        (one, folder), (two, other) = list(different.items())[:2]
        raise UserError(
            f"{folder}: {one or 'other'} judgments, {other}: {two or 'other'} judgments: expected one kind per"
            " dataset: move one of them elsewhere"
        )
    label = next(iter(different), None)
    if label and stated and stated.value != label:
        raise UserError(f"data.observers={stated.value}: {votes[0]} is labeled {label}: leave the setting out")
    return label or (stated.value if stated else UNKNOWN)


def label_of(votes: Path) -> str | None:
    """The observers in the label of a folder of votes, or None if it has no label; UserError if it cannot be read."""
    path = votes / LABEL
    if not path.exists():
        return None
    try:
        return Observers(read_json(path)["observers"]).value
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a readable label of the observers: restore it, or move {votes} elsewhere"
        ) from error
