"""The picture of all distortions."""

import numpy as np
import pytest
from PIL import Image

from lpips_repro.datasets.mini.photographs import crop_margin
from lpips_repro.distortions import DISTORTIONS, distort
from lpips_repro.errors import UserError
from lpips_repro.report.distortion_sheet import CELL, COLUMN, GAP, LEFT, SEVERITIES, TEXT, write_distortion_sheet
from tests.compose import settings


def test_the_sheet_shows_every_distortion_at_five_severities_of_the_given_image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 101, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    overrides = (f"image={tmp_path}/image.png", f"experiments={tmp_path}/out", "seed=3")
    path = write_distortion_sheet(settings("distortion_sheet", *overrides))
    sheet = np.asarray(Image.open(path))
    assert len(SEVERITIES) == 5
    patch = pixels[12:108, 2:98].astype(np.float32) / 255
    for line, name in enumerate(DISTORTIONS):
        top = TEXT + GAP + line * (CELL + TEXT + GAP)
        for column, severity in enumerate(SEVERITIES):
            left = LEFT + column * COLUMN
            shown = sheet[top : top + CELL : 2, left : left + CELL : 2]
            expected = crop_margin(distort(patch, [(name, severity)], 3))
            assert np.abs(shown - expected * 255).max() <= 0.5 + 1e-4, (name, severity)


def test_the_default_image_is_a_patch_of_mini(tmp_path):
    first = write_distortion_sheet(settings("distortion_sheet", f"experiments={tmp_path}/a")).read_bytes()
    assert write_distortion_sheet(settings("distortion_sheet", f"experiments={tmp_path}/b")).read_bytes() == first


def test_an_image_that_is_too_small_is_an_error_that_names_it(tmp_path):
    Image.new("RGB", (95, 200)).save(tmp_path / "small.png")
    with pytest.raises(UserError, match=r"small.png: 95 x 200 pixels: expected at least 96 x 96"):
        write_distortion_sheet(settings("distortion_sheet", f"image={tmp_path}/small.png", f"experiments={tmp_path}"))
