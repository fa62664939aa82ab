"""Statistics of a dataset: counts, votes, agreement of observers, and a sheet of examples (`make data-stats`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from PIL import Image, ImageDraw
from tabulate import tabulate

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.config.outputs import check_output
from lpips_repro.datasets.commands import phases_of
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.datasets.split import content_of
from lpips_repro.evaluation.protocols import PROTOCOLS, protocol_of
from lpips_repro.evaluation.tables.escape import markdown
from lpips_repro.evaluation.tables.kept_tables import keep_other_tables
from lpips_repro.evaluation.tables.writer import judged_by
from lpips_repro.files import write_csv, write_picture, write_whole, written_together
from lpips_repro.files.locks import exclusive

EXAMPLES = 5  # per split on the sheet
GAP, LABEL = 6, 14  # pixels: space between examples, height of a line of text
ZOOM = 2


def write_statistics(composed: DictConfig) -> None:
    """Write `stats.csv`, `stats.md` and `examples.png` of a dataset, and print the table.

    Args:
        composed: composed settings (`configs/dataset.yaml`).

    Raises:
        UserError: if no split of the dataset exists.
    """
    cfg = parse(composed, DatasetConfig)
    folder = Path(cfg.experiments) / f"data-stats-{cfg.data.name}"
    dataset = dataset_of(cfg.data)
    splits = dataset.find(phases_of(dataset, cfg.splits))
    check_output(folder, "make eval-tables")
    check_writable("experiments", folder)
    rows = [_row(split) for split in splits]
    judged = judged_by(splits[0].card["observers"])
    cells = [{key: markdown(str(value)) for key, value in row.items()} for row in rows]
    table = tabulate(cells, headers="keys", tablefmt="github", disable_numparse=True)
    with exclusive(folder):
        keep_other_tables(folder, content_of(splits))
        with written_together(folder) as new:
            write_csv(new / "stats.csv", rows)
            write_whole(new / "stats.md", f"# {cfg.data.name}\n\n{judged}\n\n{table}\n")
            write_picture(new / "examples.png", contact_sheet(splits, judged))
    print(f"{judged}\n\n{tabulate(rows, headers='keys', tablefmt='simple', disable_numparse=True)}\n")
    print(f"written: {', '.join(str(folder / name) for name in ('stats.csv', 'stats.md', 'examples.png'))}")


def contact_sheet(splits: Sequence[PackedSplit], title: str) -> Image.Image:
    """Return a picture of evenly spaced examples of each split, with their votes."""
    column_width = 3 * ZOOM * max(split.size[1] for split in splits) + GAP
    heights = [split.size[0] * ZOOM + 2 * LABEL + GAP for split in splits]
    sheet = Image.new("RGB", (EXAMPLES * column_width + GAP, LABEL + sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 0), title, fill="black")
    for line, split in enumerate(splits):
        top = LABEL + sum(heights[:line])
        draw.text((GAP, top), f"{split.name}  ({len(split)}, {split.card['observers']} observers)", fill="black")
        protocol = protocol_of(split)
        places = np.linspace(0, len(split) - 1, min(EXAMPLES, len(split))).astype(int)
        for column, index in enumerate(places):
            left = GAP + column * column_width
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
