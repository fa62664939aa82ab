"""`lpips-repro distort`."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from lpips_repro.distortions import DISTORTIONS, distort
from lpips_repro.images import read_rgb
from tests.cli.conftest import write_image


@pytest.fixture
def image(tmp_path):
    return write_image(tmp_path / "image.png", 0, (50, 70))


def expected(image, steps, seed=0):
    return np.rint(distort(read_rgb(image).astype(np.float32) / 255, steps, seed) * 255).astype(np.uint8)


def test_the_file_has_the_image_of_python_and_the_note_has_physical_units(command, image, tmp_path):
    out = tmp_path / "out.png"
    ended = command("distort", image, "--with", "jpeg", "--severity", ".6", "-o", out)
    assert (ended.status, ended.out) == (0, "")
    assert np.array_equal(read_rgb(out), expected(image, [("jpeg", 0.6)]))
    assert ended.err == f"{out}: jpeg at severity 0.6 (quality 17 of 100); seed 0\n"
    file = io.BytesIO()
    Image.open(image).save(file, "JPEG", quality=17, subsampling=0)
    assert np.array_equal(read_rgb(out), np.asarray(Image.open(file)))


def test_several_distortions_have_one_severity_for_all_or_one_for_each(command, image, tmp_path):
    out, names = tmp_path / "out.png", ("-w", "shift", "-w", "gaussian_pink_noise")
    command("distort", image, *names, "-s", "0.3", "-o", out, "--seed", "5")
    assert np.array_equal(read_rgb(out), expected(image, [("shift", 0.3), ("gaussian_pink_noise", 0.3)], 5))
    ended = command("distort", image, *names, "-s", "0.3", "-s", "0.9", "-o", out, "--quiet")
    assert np.array_equal(read_rgb(out), expected(image, [("shift", 0.3), ("gaussian_pink_noise", 0.9)]))
    assert ended.err == ""


def test_images_of_16_bits_and_gray_images_are_accepted(command, tmp_path):
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(tmp_path / "deep.png")
    Image.new("L", (20, 20), 100).save(tmp_path / "gray.png")
    for name in ("deep", "gray"):
        assert command("distort", tmp_path / f"{name}.png", "-w", "shift", "-o", tmp_path / "out.png").status == 0
        before = read_rgb(tmp_path / f"{name}.png")
        assert np.abs(read_rgb(tmp_path / "out.png") / 255 - before / np.iinfo(before.dtype).max).max() < 0.003


def test_the_list_has_every_distortion_with_its_units(command):
    listed = command("distort", "--list").out
    for name, distortion in DISTORTIONS.items():
        (line,) = (line for line in listed.splitlines() if line.split()[0] == name)
        assert distortion.group in line
        assert all(f"{one.at_one:.3g} {one.unit}" in line for one in distortion.amounts)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-w", "jpg", "-o", "out.png"), "no distortion 'jpg': expected one of .*did you mean jpeg"),
        (("-w", "jpeg", "-s", "1.5", "-o", "out.png"), "severity 1.5 of jpeg: expected a number in \\[0, 1\\]"),
        (("-w", "jpeg", "-s", "nan", "-o", "out.png"), "severity nan of jpeg"),
        (("-w", "jpeg", "-s", "x", "-o", "out.png"), "--severity"),
        (("-w", "jpeg", "-s", ".1", "-s", ".2", "-o", "out.png"), "1 times --with, 2 times --severity"),
        (("-w", "jpeg", "-o", "out.jpg"), "out.jpg: expected a name that ends in .png"),
        (("-w", "jpeg", "-o", "folder.png"), "folder.png: a folder: expected the name of a file"),
        (("-w", "jpeg", "-o", "none/out.png"), "none/out.png: no such folder as none"),
        (("-w", "jpeg"), "expected an image, a distortion and a file"),
        (("-o", "out.png"), "expected an image, a distortion and a file"),
        (("-w", "jpeg", "--seed", "-1", "-o", "out.png"), "--seed"),
    ],
)
def test_errors_are_one_line_and_write_nothing(command, image, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    ended = command("distort", image, *words)
    assert ended.status == 2
    (line,) = ended.err.splitlines()
    assert re.search(message, line), line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.png", "image.png"]


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_an_image_that_cannot_be_read_is_named(command, tmp_path, content):
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    ended = command("distort", path, "-w", "jpeg", "-o", tmp_path / "out.png")
    assert ended.status == 2
    assert str(path) in ended.err and len(ended.err.splitlines()) == 1


def test_an_image_that_is_too_small_is_named(command, tmp_path):
    path = write_image(tmp_path / "tiny.png", 0, (5, 9))
    ended = command("distort", path, "-w", "jpeg", "-o", tmp_path / "out.png")
    assert ended.err == f"error: {path}: image has 9 x 5 pixels: expected 8 to 32766 per side\n"
