"""Metrics of other libraries and of the user, by name."""

import json
import sys

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import lpips_repro
from lpips_repro.metrics import METRICS
from lpips_repro.metrics.lpips import LPIPS
from tests.cli.conftest import write_image

JSON = ("--format", "json")
OWN = """
from lpips_repro.metrics import register_metric


@register_metric(to_distance=lambda value: 1 - value)
def alike(x, y):
    return 1 - (x - y).abs().mean(dim=(1, 2, 3))


@register_metric()
def unlike(x, y):
    return (x - y).abs().amax(dim=(1, 2, 3))
"""


@pytest.fixture
def pair(tmp_path):
    return [write_image(tmp_path / f"{k}.png", k) for k in range(2)]


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    yield tmp_path / "mine.py"
    for name in ("alike", "unlike"):
        METRICS.pop(name, None)
    sys.modules.pop(f"file:{tmp_path / 'mine.py'}", None)  # the next test's folder may have the same name


def results(ended):
    return {one["metric"]: one for one in json.loads(ended.out)["results"]}


def test_a_function_of_a_file_is_a_metric(command, pair, own):
    names = [f"{own}:alike", f"{own}:unlike"]
    found = results(command("distance", *pair, "-m", names[0], "-m", names[1], "-m", "ssim", "--format", "json"))
    x, y = (np.asarray(Image.open(path)) / 255 for path in pair)
    assert found[names[0]]["value"] == pytest.approx(1 - np.abs(x - y).mean(), abs=1e-6)
    assert found[names[0]]["distance"] == pytest.approx(np.abs(x - y).mean(), abs=1e-6)
    assert found[names[1]]["value"] == found[names[1]]["distance"] == pytest.approx(np.abs(x - y).max(), abs=1e-6)
    assert set(found) == {*names, "ssim"}


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("{own}", "expected one of {own}:alike, {own}:unlike"),
        ("{own}:alik", "did you mean {own}:alike?"),
        ("missing.py:alike", "missing.py: no such file"),
    ],
)
def test_a_missing_function_is_an_error_that_names_those_of_the_file(command, pair, own, word, what):
    ended = command("distance", *pair, "-m", word.format(own=own), "-q")
    assert (ended.status, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert what.format(own=own) in line


@pytest.mark.parametrize("decorator", ["", "@register_metric\n"])
def test_a_file_that_registers_no_metric_is_an_error_with_the_remedy(command, pair, tmp_path, decorator):
    file = tmp_path / "plain.py"
    file.write_text(f"from lpips_repro.metrics import register_metric\n{decorator}def mine(x, y):\n    return x\n")
    ended = command("distance", *pair, "-m", f"{file}:mine", "-q")
    assert (ended.status, ended.out) == (2, "")
    assert f"{file}: registers no metric: put @lpips_repro.metrics.register_metric() before" in ended.err


def test_a_function_that_fails_is_one_line(command, pair, own):
    own.write_text(OWN.replace("return 1 -", "return 1 / 0 +"))
    ended = command("distance", *pair, "-m", f"{own}:alike", "-m", "l2-rgb", "-q", "--format", "json")
    assert ended.status == 1 and list(results(ended)) == ["l2-rgb"]
    (line,) = ended.err.splitlines()
    assert "ZeroDivisionError" in line and "mine.py:alike" in line


def test_a_metric_of_another_library_has_the_value_of_the_library(command, pair):
    piq = pytest.importorskip("piq")
    import torch

    found = results(command("distance", *pair, "-m", "piq/haarpsi", "--format", "json"))["piq/haarpsi"]
    x, y = (torch.from_numpy(np.asarray(Image.open(path)) / np.float32(255)).permute(2, 0, 1)[None] for path in pair)
    value = piq.haarpsi(x, y).item()
    assert found["value"] == pytest.approx(value, abs=1e-6)
    assert found["distance"] == pytest.approx(1 - value, abs=1e-6)
    assert "function=piq/haarpsi" in found["settings"]


def test_a_metric_that_no_library_has_is_one_line(command, pair):
    for name in ("piq/nonsense", "nonsense/ssim"):
        ended = command("distance", *pair, "-m", name, "-q")
        assert ended.status == 2
        (line,) = ended.err.splitlines()
        assert name in line and "expected" in line


def test_a_network_of_timm_accepts_weights_of_the_backbone(command, pair, tmp_path):
    torch.manual_seed(0)
    state = timm.create_model("test_resnet").state_dict()
    torch.save(state, tmp_path / "w.pth")
    found = results(command("distance", *pair, "-m", "timm/test_resnet", "--weights", tmp_path / "w.pth", *JSON))
    x, y = (lpips_repro.load_image(path) for path in pair)
    wanted = LPIPS("timm/test_resnet", "off_the_shelf", weights=state)(x, y)
    assert found["timm-test_resnet-w-v0.1"]["distance"] == pytest.approx(wanted.item(), abs=1e-5)
    assert wanted > 0.01
