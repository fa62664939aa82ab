"""What a dataset holds: counts, votes, how far observers agree, and a sheet of examples (`make data-stats`)."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from PIL import Image, ImageDraw
from tabulate import tabulate

from lpips_repro.config import BappsConfig, DatasetConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.datasets.bapps import find_packed, packed_folder
from lpips_repro.datasets.packed import PATCH_SIZE, PackedSplit
from lpips_repro.datasets.verify import phases_of, prepare_phases
from lpips_repro.errors import UserError
from lpips_repro.evaluation.escape import markdown
from lpips_repro.evaluation.other_data import describe_splits, keep_other_tables
from lpips_repro.evaluation.protocols import PROTOCOLS, protocol_of
from lpips_repro.evaluation.write import judged_by

log = logging.getLogger(__name__)

EXAMPLES = 5  # on the sheet, for each split
GAP, LABEL = 6, 14  # pixels between examples, and for a line of text
ZOOM = 2


def write_statistics(composed: DictConfig) -> None:
    """Write `stats.csv`, `stats.md` and `examples.png` of a dataset, and print the table.

    Raises:
        UserError: where nothing of the dataset is there.
    """
    cfg = parse(composed, DatasetConfig)
    folder = Path(cfg.experiments) / f"data-stats-{cfg.data.name}"
    packed = _packed_bapps(cfg) if isinstance(cfg.data, BappsConfig) else []
    check_writable("experiments", folder)
    splits = packed or prepare_phases(cfg)
    keep_other_tables(folder, describe_splits(splits))
    rows = [_row(split) for split in splits]
    with (folder / "stats.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    judged = judged_by(splits[0].card["observers"])
    cells = [{key: markdown(str(value)) for key, value in row.items()} for row in rows]
    table = tabulate(cells, headers="keys", tablefmt="github", disable_numparse=True)
    (folder / "stats.md").write_text(f"# {cfg.data.name}\n\n{judged}\n\n{table}\n")
    contact_sheet(splits, judged).save(folder / "examples.png")
    print(f"{judged}\n\n{tabulate(rows, headers='keys', tablefmt='simple', disable_numparse=True)}\n")
    print(f"written: {', '.join(str(folder / name) for name in ('stats.csv', 'stats.md', 'examples.png'))}")


def _packed_bapps(cfg: DatasetConfig) -> list[PackedSplit]:
    """What is packed of BAPPS; the rest is named and not fetched: looking must not cost gigabytes."""
    splits, missing = find_packed(cfg.data, phases_of(cfg.splits))
    if missing:
        phases = sorted({phase for _, phase, _ in missing})
        command = f"make data SPLITS={phases[0]}" if len(phases) == 1 else "make data"
        remedy = f"run `{command}` first (with the same ARGS, if any)"
        if not splits:
            raise UserError(f"{packed_folder(cfg.data)}: no packed split of {' or '.join(phases)} is there: {remedy}")
        log.warning("not packed and so not described: %s: %s", ", ".join("/".join(key) for key in missing), remedy)
    return splits


def contact_sheet(splits: Sequence[PackedSplit], title: str) -> Image.Image:
    """Examples of each split, spread evenly over it, with their votes."""
    width = EXAMPLES * (3 * PATCH_SIZE * ZOOM + GAP) + GAP
    height = PATCH_SIZE * ZOOM + 2 * LABEL + GAP
    sheet = Image.new("RGB", (width, LABEL + height * len(splits)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 0), title, fill="black")
    for line, split in enumerate(splits):
        top = LABEL + line * height
        draw.text((GAP, top), f"{split.name}  ({len(split)}, {split.card['observers']} observers)", fill="black")
        protocol = protocol_of(split)
        places = np.linspace(0, len(split) - 1, min(EXAMPLES, len(split))).astype(int)
        for column, index in enumerate(places):
            left = GAP + column * (3 * PATCH_SIZE * ZOOM + GAP)
            strip = Image.fromarray(np.concatenate([split.arrays[name][index] for name in protocol.images], axis=1))
            strip = strip.resize((strip.width * ZOOM, strip.height * ZOOM), Image.Resampling.NEAREST)
            sheet.paste(strip, (left, top + LABEL))
            text = f"{index:06d}  {' | '.join(protocol.images)}   {protocol.vote} {split.votes[index]:.2f}"
            draw.text((left, top + LABEL + strip.height), text, fill="black")
    return sheet


def _row(split: PackedSplit) -> dict[str, str]:
    own = protocol_of(split)
    of_votes = {
        name: f"{100 * figure(split.votes):.2f}" if protocol is own else ""
        for protocol in PROTOCOLS.values()
        for name, figure in protocol.statistics.items()
    }
    values, counts = np.unique(np.round(split.votes.astype(np.float64), 3), return_counts=True)
    return {
        "split": split.name,
        "count": str(len(split)),
        "observers": split.card["observers"],
        **of_votes,
        "votes (share: examples)": " ".join(f"{v:g}: {c}" for v, c in zip(values, counts, strict=True)),
    }
