"""Who judged a folder in the BAPPS layout: what its folders of judgments say of themselves, and the setting.

Simulated judgments that this program wrote have a file `observers.json` next to the votes, as in
`2afc/val/traditional/judge/observers.json`. So they stay labeled wherever the folder goes, whatever the settings.
"""

import json
from pathlib import Path

from lpips_repro.config import Observers
from lpips_repro.datasets.packed import VOTE_FIELD
from lpips_repro.errors import UserError

LABEL = "observers.json"
UNKNOWN = "unknown"  # observers that neither the folder nor the settings state


def observers_of(root: Path, stated: Observers | None) -> str:
    """Who judged all splits of a folder: "human", "simulated" or "unknown".

    Args:
        root: of the dataset; stated: the setting `data.observers`.

    Raises:
        UserError: if the setting contradicts a label, some judgments are labeled and others are not, or a label cannot
            be read.
    """
    votes = [folder for kind, field in VOTE_FIELD.items() for folder in sorted(root.glob(f"{kind}/*/*/{field}"))]
    different: dict[str | None, Path] = {}
    for folder in votes:
        different.setdefault(label_of(folder), folder)
    if len(different) > 1:
        (one, folder), (two, other) = list(different.items())[:2]
        raise UserError(
            f"{folder}: {one or 'other'} judgments, {other}: {two or 'other'} ones: a dataset has one kind: move one of"
            " them elsewhere"
        )
    label = next(iter(different), None)
    if label and stated and stated.value != label:
        raise UserError(f"data.observers={stated.value}: {votes[0]} is labeled {label}: leave the setting out")
    return label or (stated.value if stated else UNKNOWN)


def label_of(votes: Path) -> str | None:
    """What the label of a folder of votes says, or None without one; UserError if it cannot be read."""
    path = votes / LABEL
    if not path.exists():
        return None
    try:
        return Observers(json.loads(path.read_text())["observers"]).value
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no readable label of who judged: restore it, or move {votes} elsewhere") from error
