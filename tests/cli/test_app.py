"""Output and exit status of `lpips-repro`."""

import csv
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from lpips_repro import LPIPS, load_image
from lpips_repro.backbones import gaussian_state
from lpips_repro.metrics import dssim, l2
from tests.cli.conftest import NET, write_image


@pytest.fixture(scope="module")
def metric():
    return LPIPS("alex", "off_the_shelf", weights=gaussian_state("alex", 0))


def distance_of(metric, ref, image):
    return metric(load_image(ref), load_image(image)).item()


def test_distances_are_those_of_the_metrics_in_python(command, tmp_path, metric):
    ref, *images = (write_image(tmp_path / f"{k}.png", k, (70, 90)) for k in range(3))
    ended = command("distance", ref, *images, "-m", NET, "-m", "ssim", "-m", "l2-rgb", "--format", "json")
    found = json.loads(ended.out)
    assert (ended.status, found["schema"], found["failed"]) == (0, 1, [])
    values = {(one["image"], one["metric"].partition("-off")[0]): one["distance"] for one in found["results"]}
    x = (load_image(ref) + 1) / 2
    for image in images:
        y = (load_image(image) + 1) / 2
        assert values[str(image), NET] == pytest.approx(distance_of(metric, ref, image), abs=1e-6)
        assert values[str(image), "ssim"] == pytest.approx(dssim(x, y).item(), abs=1e-5)
        assert values[str(image), "l2-rgb"] == pytest.approx(l2(x, y).item(), abs=1e-6)


def test_a_record_has_the_value_of_the_metric_and_the_distance(command, tmp_path):
    ref, image = write_image(tmp_path / "a.png", 0), tmp_path / "b.png"
    x = np.asarray(Image.open(ref))
    y = np.clip(x + np.random.default_rng(1).normal(0, 20, x.shape), 0, 255).astype(np.uint8)
    Image.fromarray(y).save(image)
    words = ("distance", ref, image, "-m", "ssim", "-m", "psnr", "-m", "l2-rgb")
    found = {one["metric"]: one for one in json.loads(command(*words, "--format", "json").out)["results"]}
    ssim, psnr = structural_similarity(x, y, channel_axis=2), peak_signal_noise_ratio(x, y)
    assert found["ssim"]["value"] == pytest.approx(ssim, abs=1e-5)
    assert found["ssim"]["distance"] == pytest.approx((1 - ssim) / 2, abs=1e-5)
    assert found["psnr"]["value"] == pytest.approx(psnr, abs=1e-4)
    assert found["psnr"]["distance"] == pytest.approx(-psnr, abs=1e-4)
    assert found["l2-rgb"]["value"] == found["l2-rgb"]["distance"]
    header, _, line = command(*words, "-q").out.splitlines()
    assert re.split(r"\s{2,}", header)[2:] == ["ssim (similarity)", "psnr (similarity)", "l2-rgb"]
    assert [float(value) for value in line.split()[2:4]] == pytest.approx([ssim, psnr], abs=1e-4)


def test_an_infinite_value_is_valid_json(command, tmp_path):
    ref = write_image(tmp_path / "a.png", 0)
    for style in ("json", "jsonl"):
        text = command("distance", ref, ref, "-m", "psnr", "--format", style).out
        found = json.loads(text, parse_constant=pytest.fail)
        found = found["results"][0] if style == "json" else found
        assert (float(found["value"]), float(found["distance"])) == (np.inf, -np.inf)


def test_options_may_name_the_images(command, tmp_path):
    ref, image = (write_image(tmp_path / f"{k}.png", k) for k in range(2))
    plain = command("distance", ref, image, "-m", NET, "--format", "csv").out
    assert command("distance", "-r", ref, "-t", image, "-m", NET, "--format", "csv").out == plain
    assert command("distance", "--ref", ref, image, "--metric", NET, "--format", "csv").out == plain
    assert command("distance", ref, "-t", image, "-m", NET, "--format", "csv").out == plain


def test_options_may_name_folders(command, folders):
    plain = command("dirs", *folders, "-m", "l2-rgb", "--format", "csv").out
    assert command("dirs", "-t", folders[1], "-r", folders[0], "-m", "l2-rgb", "--format", "csv").out == plain


def test_a_method_that_fails_does_not_stop_the_others(command, tmp_path):
    ref, image = (write_image(tmp_path / f"{k}.png", k, (20, 20)) for k in range(2))
    ended = command("distance", ref, image, "-m", "ssim", "-m", NET, "--format", "json", "-q")
    found = json.loads(ended.out)
    assert ended.status == 1
    assert [one["metric"] for one in found["results"]] == ["ssim"]
    (failed,) = found["failed"]
    assert failed["metric"].startswith(NET) and "20" in failed["reason"]
    assert len(ended.err.splitlines()) == 1


def test_a_mean_has_its_number_of_pairs(command, folders):
    for folder in folders:
        write_image(folder / "0.png", 0, (20, 20))  # too small for a network
    words = ("dirs", *folders, "-m", "l2-rgb", "-m", NET, "-q")
    assert command(*words).out.splitlines()[-1].startswith("mean of 10, 9 ")
    means = json.loads(command(*words, "--format", "json").out)["means"]
    assert [mean["pairs"] for mean in means] == [10, 9]


def test_help_is_printed_if_there_are_no_arguments(command):
    ended = command()
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("Usage: ") and "\n  matrix " in ended.err


@pytest.mark.parametrize("style", ["table", "csv", "json", "jsonl"])
def test_all_formats_have_the_same_numbers(command, folders, style):
    refs, images = folders
    lines = command("dirs", refs, images, "-m", "l2-rgb", "--format", style, "-q").out
    wanted = json.loads(command("dirs", refs, images, "-m", "l2-rgb", "--format", "json", "-q").out)["results"]
    if style == "table":
        found = [float(line.split()[-1]) for line in lines.splitlines()[2:-1]]
        assert lines.splitlines()[-1].startswith("mean of 10")
    elif style == "csv":
        found = [float(row["distance"]) for row in csv.DictReader(io.StringIO(lines))]
    elif style == "jsonl":
        found = [json.loads(line)["distance"] for line in lines.splitlines()]
    else:
        found = [one["distance"] for one in json.loads(lines)["results"]]
    assert found == pytest.approx([one["distance"] for one in wanted], abs=5.1e-7 if style == "table" else 0)


def test_the_suffix_of_a_file_is_its_format(command, folders, tmp_path):
    out = tmp_path / "out.csv"
    ended = command("dirs", *folders, "-m", "l2-rgb", "-o", out)
    assert (ended.status, ended.out) == (0, "")
    assert len(list(csv.DictReader(out.open()))) == 10


def test_a_record_has_the_settings_that_its_value_depends_on(command, tmp_path):
    ref = write_image(tmp_path / "a.png", 0, (64, 80))
    ended = command(
        "distance", ref, write_image(tmp_path / "b.png", 1), "-m", NET, "--resize", "ref", "--format", "json"
    )
    (one,) = json.loads(ended.out)["results"]
    settings = dict(word.split("=", 1) for word in one["settings"].split(" "))
    assert settings | {"version": "0.1", "size": "64x80", "resize": "ref", "dtype": "float32"} == settings
    assert {"lpips_repro", "weights", "backbone", "variant", "libraries", "background", "device"} <= settings.keys()


def test_images_of_another_size_fail_unless_they_are_scaled(command, tmp_path, metric):
    ref, image = write_image(tmp_path / "a.png", 0, (64, 80)), write_image(tmp_path / "b.png", 1, (96, 100))
    ended = command("distance", ref, image, "-m", NET, "-q")
    assert ended.status == 1 and "100 x 96" in ended.err and "--resize ref" in ended.err
    x = load_image(ref)
    for resize, size in (("ref", (64, 80)), ("72x76", (72, 76))):
        value = json.loads(command("distance", ref, image, "-m", NET, "--resize", resize, "--format", "json").out)
        scaled = [
            torch.from_numpy(
                np.asarray(Image.open(path).resize(size[::-1], Image.Resampling.BILINEAR)) / np.float32(127.5)
            )
            for path in (ref, image)
        ]
        x, y = (pixels.permute(2, 0, 1)[None] - 1 for pixels in scaled)
        assert value["results"][0]["distance"] == pytest.approx(metric(x, y).item(), abs=1e-6)


def test_paths_of_pairs_are_relative_to_their_file(command, tmp_path, metric):
    for k in range(3):
        write_image(tmp_path / "deep" / f"{k}.png", k)
    (tmp_path / "deep" / "pairs.csv").write_text("image,note,ref\n1.png,x,0.png\n2.png,,0.png\n")
    found = json.loads(command("pairs", tmp_path / "deep" / "pairs.csv", "-m", NET, "--format", "json").out)["results"]
    assert [(one["ref"][-5:], one["image"][-5:]) for one in found] == [("0.png", "1.png"), ("0.png", "2.png")]
    for one in found:
        assert one["distance"] == pytest.approx(distance_of(metric, one["ref"], one["image"]), abs=1e-6)


def test_a_map_is_that_of_the_metric_in_python(command, tmp_path):
    ref, image = (write_image(tmp_path / f"{k}.png", k) for k in range(2))
    assert command("map", ref, image, "-m", NET, "-o", tmp_path / "map.npy").status == 0
    spatial = LPIPS("alex", "off_the_shelf", weights=gaussian_state("alex", 0), spatial=True)
    wanted = spatial(load_image(ref), load_image(image))[0, 0]
    np.testing.assert_allclose(np.load(tmp_path / "map.npy"), wanted, atol=1e-6)
    assert command("map", ref, image, "-m", NET, "-o", tmp_path / "map.png").status == 0
    picture = np.asarray(Image.open(tmp_path / "map.png"))
    assert picture.shape == (64, 64, 3)
    assert tuple(picture.reshape(-1, 3)[wanted.argmax()]) == (253, 231, 37)  # the yellow of viridis


COMMANDS = ("distance", "dirs", "pairs", "matrix", "map", "export", "metrics")


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)])
def test_help_has_each_example_on_its_own_line(command, words):
    ended = command(*words, "--help")
    assert ended.status == 0
    lines = [line.strip() for line in ended.out.splitlines()]
    assert any(line.startswith(" ".join(["lpips-repro", *words])) for line in lines[lines.index("Examples:") :])


def test_the_list_of_methods_has_those_of_the_tables(command):
    lines = command("metrics").out.splitlines()
    assert {"alex", "vgg", "squeeze", "l2-rgb", "ssim", "fsimc", NET} <= {line.split(" ")[0] for line in lines if line}


def test_the_example_images_have_the_published_distances(command, shared, imagenet):
    folder = shared / "examples"
    words = ["distance", folder / "ex_ref.png", folder / "ex_p0.png", "-m", "alex", "-m", "squeeze", "--format", "json"]
    found = [one["distance"] for one in json.loads(command(*words).out)["results"]]
    assert found == pytest.approx([0.721881, 0.711048], abs=1e-5)


@pytest.mark.slow
def test_results_and_notes_go_to_different_streams(tmp_path):
    ref, image = (write_image(tmp_path / f"{k}.png", k) for k in range(2))
    words = [sys.executable, "-m", "lpips_repro.cli", "distance", ref, image, "-m", "l2-rgb", "--format", "json"]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout)["schema"] == 1
    assert "device=auto" in ended.stderr
