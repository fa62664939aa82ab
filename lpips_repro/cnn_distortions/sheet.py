"""A picture of the same patches, distorted by each autoencoder (the last step of `make cnn-distortions`)."""

import logging
from collections import Counter
from typing import Any

import numpy as np
from omegaconf import DictConfig
from PIL import Image, ImageDraw

from lpips_repro.cnn_distortions.family import FAMILY, CnnFamily
from lpips_repro.cnn_distortions.run import crops_of, read_settings
from lpips_repro.cnn_distortions.stored_autoencoders import COMMAND, read_card
from lpips_repro.distortions.family import Application
from lpips_repro.files import new_file
from lpips_repro.runs.record import record_run

log = logging.getLogger(__name__)

PATCHES, COLUMNS = 4, 6  # patches per autoencoder, and autoencoders per row
GAP, LABEL = 6, 14  # pixels between two autoencoders, and height of a line of text
SHEET = "cnn_distortions.png"


def write_sheet(composed: DictConfig) -> None:
    """Print the numbers of autoencoders that distort and are left out, and write the picture and the settings.

    Raises:
        UserError: if no autoencoder distorts.
    """
    cfg, folder = read_settings(composed)
    found = {number: read_card(folder / f"{number:03d}") for number in range(cfg.count)}
    cards = {f"{number:03d}": card for number, card in found.items() if card is not None}
    print(summary(cards, cfg.count))
    family = CnnFamily(folder)
    held_out = crops_of(cfg).held_out
    patches = held_out[np.linspace(0, len(held_out) - 1, PATCHES).astype(int)]
    with new_file(folder / SHEET) as file:
        contact_sheet(family, cards, patches).save(file, "PNG")
    record_run(folder, composed)
    print(f"written: {folder / SHEET}")


def summary(cards: dict[str, dict[str, Any]], count: int) -> str:
    """One line: how many of `count` autoencoders distort, how many are left out and why, and how many are missing."""
    reasons = Counter(card["left_out"] for card in cards.values() if card["left_out"] is not None)
    text = f"{len(cards) - reasons.total()} of {count} autoencoders distort"
    if reasons:
        text += f", {reasons.total()} are left out: " + ", ".join(f"{n} because {why}" for why, n in reasons.items())
    if len(cards) < count:
        text += f"; {count - len(cards)} are not trained yet: `{COMMAND}` continues"
    return text


def contact_sheet(family: CnnFamily, cards: dict[str, dict[str, Any]], patches: np.ndarray) -> Image.Image:
    """A picture of patches, uint8 (N, H, W, 3), and of each autoencoder's output, or the reason why it is left out."""
    count, height, width, _ = patches.shape
    cell_width, cell_height = count * width + GAP, height + LABEL + GAP
    rows = -(-(len(cards) + 1) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell_width + GAP, rows * cell_height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    cells: list[tuple[str, np.ndarray | None]] = [("the patches", patches)]
    for name, card in cards.items():
        config = card["config"]
        if card["left_out"] is None:
            cells.append((f"{name}  {config['corruption']} {config['amount']:g}", _made(family, name, patches)))
        else:
            cells.append((f"{name}  {card['left_out']}", None))
    for number, (text, images) in enumerate(cells):
        row, column = divmod(number, COLUMNS)
        left, top = GAP + column * cell_width, GAP + row * cell_height
        draw.text((left, top), text, fill="black")
        if images is not None:
            sheet.paste(Image.fromarray(np.concatenate(list(images), axis=1)), (left, top + LABEL))
    return sheet


def _made(family: CnnFamily, name: str, patches: np.ndarray) -> np.ndarray:
    """The output of an autoencoder for patches; both are uint8 (N, H, W, 3)."""
    weights = {"weights": family.cards[name]["weights"]}
    images = [
        family.apply(patch.astype(np.float32) / 255, Application(FAMILY, name, weights, seed))
        for seed, patch in enumerate(patches)
    ]
    return np.round(np.stack(images) * 255).astype(np.uint8)
