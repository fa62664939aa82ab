"""Files of the user count: rows and stored features that were made by another state of them are not used again."""

import sys

import pytest
import torch

from lpips_repro.backbones import BACKBONES, check_backbone, gaussian_state
from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.features.stored import stored_features
from lpips_repro.metrics import METRICS
from lpips_repro.metrics.lpips import LPIPS
from tests.compose import settings
from tests.training.conftest import splits  # noqa: F401 (a fixture is used by its name)
from tests.training.tiny import CPU

NETWORK = """
from torch import nn
from lpips_repro.backbones import register_backbone
import helper

@register_backbone("own-code", taps=(1,), channels=(8,), min_size=4, preprocess=lambda images: images / 2)
def layers():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
"""
METRIC = """
from lpips_repro.metrics import register_metric

@register_metric(to_distance=lambda value: -value)
def own_code(x, y):
    return x.mul_(y).mean(dim=(1, 2, 3))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A network and a metric in files of a folder, which a row of the tables can name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "mine.py").write_text(NETWORK)
    (tmp_path / "metric.py").write_text(METRIC)
    yield tmp_path
    BACKBONES.pop("own-code", None)
    METRICS.pop("own_code", None)
    for name in ("mine.py", "metric.py"):  # the next test's folder may have the same name
        sys.modules.pop(f"file:{tmp_path / name}", None)


def identity_of(*overrides):
    (row,) = list_methods(parse(settings("evaluate", "trained_on=null", *overrides), EvaluateConfig))
    return row.build(Engine(CPU))


def network(folder):
    mine = f"{{backbone: own-code, module: {folder}/mine.py, init: gaussian, supervision: random, versions: ['0.1']}}"
    return identity_of("net=[alex]", "~net.alex", f"+net.mine={mine}", "metric=[]", "variant=[off_the_shelf]").identity


def metric(folder):
    mine = f"{{function: own_code, module: {folder}/metric.py}}"
    return identity_of("net=[]", "variant=[]", "metric=[l2_rgb]", "~metric.l2-rgb", f"+metric.mine={mine}")


@pytest.mark.parametrize("file", ["mine.py", "helper.py"])
def test_another_state_of_the_users_network_is_another_row(own, file):
    before = network(own)
    assert network(own) == before
    (own / file).write_text((own / file).read_text() + "# changed\n")
    assert {key for key, value in network(own).items() if value != before[key]} == {"code"}


def test_another_state_of_the_users_network_has_its_features_computed_again(own, splits, tmp_path):  # noqa: F811
    check_backbone("own-code", file=str(own / "mine.py"))
    lpips = LPIPS("own-code", "off_the_shelf", weights=gaussian_state("own-code", 0))
    for end in ("", "", "# changed\n"):
        (own / "mine.py").write_text(NETWORK + end)
        stored_features(lpips, splits["val"][0], tmp_path / "features", "float32", CPU, noise=False)
    assert len(list((tmp_path / "features").glob("*/*/card.json"))) == 2


def test_another_state_of_the_users_metric_is_another_row(own):
    before = metric(own).identity
    (own / "metric.py").write_text(METRIC.replace("-value", "1 - value"))
    assert {key for key, value in metric(own).identity.items() if value != before[key]} == {"code"}


def test_a_metric_in_the_users_file_is_given_copies(own):
    images = torch.rand(2, 1, 3, 8, 8)
    before = images.clone()
    metric(own).measure(*images)
    assert torch.equal(images, before)
