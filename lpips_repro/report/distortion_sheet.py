"""A picture of all traditional distortions at five severities, with amounts (`make distortion-sheet`)."""

from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from PIL import Image, ImageDraw

from lpips_repro.config import parse
from lpips_repro.config.checks import check_writable
from lpips_repro.config.distortion_sheet import DistortionSheetConfig
from lpips_repro.datasets.mini.photographs import MARGIN, PADDED_SIZE, crop_margin, draw_patch
from lpips_repro.distortions import DISTORTIONS, distort
from lpips_repro.errors import UserError
from lpips_repro.files import write_picture
from lpips_repro.images import read_rgb

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
ZOOM = 2
TEXT, LEFT, GAP = 14, 300, 8  # pixels: height of a line, width of the names, space between pictures
CELL = ZOOM * (PADDED_SIZE - 2 * MARGIN)
COLUMN = CELL + 3 * GAP  # the text below a picture is wider than the picture


def write_distortion_sheet(composed: DictConfig) -> Path:
    """Draw the picture of the composed settings (`configs/distortion_sheet.yaml`), and return its path.

    Raises:
        UserError: if the image cannot be read, or is smaller than 96 x 96 pixels.
    """
    cfg = parse(composed, DistortionSheetConfig)
    check_writable("experiments", Path(cfg.experiments))
    patch = _middle(Path(cfg.image)) if cfg.image else draw_patch("val", np.random.default_rng(cfg.seed))
    path = Path(cfg.experiments) / "distortions.png"
    write_picture(path, draw_sheet(patch, cfg.seed))
    print(f"written: {path}")
    return path


def draw_sheet(patch: np.ndarray, seed: int) -> Image.Image:
    """Return a picture with a row per distortion and a column per severity.

    Args:
        patch: float32 (96, 96, 3) in [0, 1]; its middle is shown.
        seed: seed of directions and noise.
    """
    row = CELL + TEXT + GAP
    sheet = Image.new("RGB", (LEFT + len(SEVERITIES) * COLUMN, TEXT + GAP + len(DISTORTIONS) * row), "white")
    draw = ImageDraw.Draw(sheet)
    for column, severity in enumerate(SEVERITIES):
        draw.text((LEFT + column * COLUMN, 0), f"severity {severity:g}", fill="black")
    for line, (name, distortion) in enumerate(DISTORTIONS.items()):
        top = TEXT + GAP + line * row
        ranges = [amount.range for amount in distortion.amounts]
        draw.multiline_text((GAP, top), "\n".join([name, f"({distortion.group})", *ranges]), fill="black")
        for column, severity in enumerate(SEVERITIES):
            left = LEFT + column * COLUMN
            shown = crop_margin(distort(patch, [(name, severity)], seed))
            picture = Image.fromarray(np.rint(shown * 255).astype(np.uint8))
            sheet.paste(picture.resize((CELL, CELL), Image.Resampling.NEAREST), (left, top))
            main = distortion.amounts[0]
            draw.text((left, top + CELL), f"{main.at(severity):.3g} {main.unit}", fill="black")
    return sheet


def _middle(path: Path) -> np.ndarray:
    pixels = read_rgb(path)
    height, width, _ = pixels.shape
    if min(height, width) < PADDED_SIZE:
        raise UserError(f"{path}: {width} x {height} pixels: expected at least {PADDED_SIZE} x {PADDED_SIZE}")
    top, left = (height - PADDED_SIZE) // 2, (width - PADDED_SIZE) // 2
    crop = pixels[top : top + PADDED_SIZE, left : left + PADDED_SIZE]
    return crop.astype(np.float32) / np.iinfo(pixels.dtype).max
