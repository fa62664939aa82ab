"""Files and streams of the results, and rows of a table."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.cli.options import check_output
from lpips_repro.errors import UserError
from lpips_repro.metrics import METRICS
from tests.cli.conftest import write_image

L2 = ("-m", "l2-rgb", "-q")
LOUD = """
from lpips_repro.metrics import register_metric

print("import")


@register_metric()
def loud(x, y):
    print("distance")
    return (x - y).abs().mean(dim=(1, 2, 3))
"""


@pytest.fixture
def images(tmp_path):
    return [write_image(tmp_path / f"{k}.png", k) for k in range(3)]


@pytest.mark.parametrize("stream", ["stdout", pytest.param("stderr", marks=pytest.mark.slow)])
def test_a_stream_as_output_keeps_the_text_of_other_programs(images, tmp_path, stream):
    words = ["distance", *map(str, images[:2]), *L2, "--format", "csv", "-o", f"/dev/{stream}"]
    with (tmp_path / "log.txt").open("w") as file:
        print("before", file=file, flush=True)
        subprocess.run([sys.executable, "-m", "lpips_repro.cli", *words], check=True, **{stream: file})
        print("after", file=file, flush=True)
    before, header, line, after = (tmp_path / "log.txt").read_text().splitlines()
    assert (before, after) == ("before", "after")
    assert header.startswith("ref,image") and line.startswith(str(images[0]))


def test_a_pipe_may_be_in_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr("os.access", lambda path, mode: path == pipe)
    check_output(pipe)
    with pytest.raises(UserError, match="the folder cannot be written to"):
        check_output(tmp_path / "file.csv")
    monkeypatch.setattr("os.access", lambda path, mode: path != pipe)
    with pytest.raises(UserError, match="pipe: cannot be written to"):
        check_output(pipe)


def test_text_that_a_metric_prints_is_not_among_the_results(command, images, tmp_path):
    (tmp_path / "own.py").write_text(LOUD)
    try:
        ended = command("distance", *images, "-m", f"{tmp_path}/own.py:loud", "-q", "--format", "json")
    finally:
        METRICS.pop("loud", None)
    assert len(json.loads(ended.out)["results"]) == 2
    assert ended.err.splitlines()[:2] == ["import", "distance"]


def test_a_repeated_pair_has_two_lines_and_counts_twice_in_the_mean(command, images):
    ref, near, far = images
    *lines, mean = command("distance", ref, near, near, far, *L2).out.splitlines()[2:]
    values = [float(line.split()[-1]) for line in lines]
    assert len(values) == 3 and values[0] == values[1]
    assert mean.split()[:3] == ["mean", "of", "3"] and float(mean.split()[-1]) == pytest.approx(
        sum(values) / 3, abs=1e-6
    )


def test_a_name_that_cannot_be_encoded_is_escaped(command, images, tmp_path, monkeypatch):
    other = write_image(tmp_path / "\u00fc.png", 1)
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr("sys.stdout", out)
    ended = command("distance", images[0], other, *L2)
    assert (ended.status, ended.err) == (0, "")
    out.flush()
    assert rb"\xfc.png" in out.buffer.getvalue()


def test_a_full_disk_is_an_error_that_names_the_output(command, images):
    ended = command("distance", *images[:2], *L2, "-o", "/dev/full")
    assert (ended.status, ended.err) == (2, "error: /dev/full: No space left on device\n")


def parsed(settings):
    """The settings of a record: words, or JSON."""
    found = dict(word.split("=", 1) for word in settings.split(" "))
    return {key: json.loads(text) if text[0] in '"{[' or text == "null" else text for key, text in found.items()}


def pixels_of(path, settings):
    """An 8-bit image as its settings say, by Pillow alone: (1, 3, H, W) in [0, 1]."""
    image = Image.open(path).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, ImageColor.getrgb(settings["background"])), image)
    height, width = map(int, settings["size"].split("x"))
    scaled = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(scaled) / np.float32(255)).permute(2, 0, 1)[None]


def computed(settings, x, y):
    """The value of a record from its settings."""
    if "backbone" in settings:
        seed = int(settings["init"].removeprefix("gaussian(seed=").removesuffix(")"))
        state = gaussian_state(settings["backbone"], seed)
        metric = LPIPS(settings["backbone"], settings["variant"], settings["version"], weights=state)
        return metric(x, y, normalize=True)
    file, _, name = settings["function"].rpartition(":")
    if file:
        space = {}
        exec(Path(file).read_text().replace("@register_metric()", ""), space)
        return space[name](x, y)
    return METRICS[name].function(x, y, **settings["settings"])


@pytest.mark.parametrize(
    "options", [[], ["--resize", "ref", "--background", "hsl(10, 50%, 50%)"], ["--resize", "70x66"]]
)
def test_a_value_is_made_again_from_its_settings_and_the_files(command, tmp_path, options):
    own = tmp_path / "my metrics.py"
    own.write_text(LOUD)
    images = [write_image(tmp_path / "a.png", 0, (72, 80)), tmp_path / "b.png"]
    size = (100, 90) if options else (80, 72)  # (width, height)
    Image.effect_noise(size, 90).convert("RGBA").save(tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        image.putalpha(Image.linear_gradient("L").resize(size))
        image.save(tmp_path / "b.png")
    names = ("alex-gaussian", "alex-gaussian-off_the_shelf-v0.0", "ssim-gaussian", "l2-lab", "psnr", f"{own}:loud")
    try:
        chosen = [word for name in names for word in ("-m", name)]
        found = json.loads(command("distance", *images, *chosen, *options, "-q", "--format", "json").out)["results"]
    finally:
        METRICS.pop("loud", None)
    assert len(found) == len(names)
    for one in found:
        settings = parsed(one["settings"])
        x, y = (pixels_of(one[key], settings) for key in ("ref", "image"))
        assert one["value"] == pytest.approx(computed(settings, x, y).item(), abs=1e-6, rel=1e-6), one["metric"]
