import importlib
import shutil

import pytest

from lpips_repro import provenance as module
from lpips_repro.metrics import l2
from lpips_repro.provenance import METRICS, PACKAGE, digest_of, provenance
from tests.test_import_order import graph

# What the code of the distances imports without a number that depends on it: settings, messages, files, processes, and
# the packed splits, whose digest is part of every identity.
COMPUTES_NO_DISTANCE = {
    *("config", "datasets", "devices", "distributed", "download", "errors", "evaluation", "protocols", "files"),
    *("logs", "modules", "progress", "quoting", "versions"),
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of what the distances of any method depend on."""
    for source in METRICS:
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (PACKAGE / source).is_dir() else shutil.copy)(PACKAGE / source, tmp_path / source)
    monkeypatch.setattr(module, "PACKAGE", tmp_path)
    digest_of.cache_clear()
    yield tmp_path
    digest_of.cache_clear()


@pytest.mark.parametrize(
    "file",
    [
        "metrics/lpips/optimized.py",
        "metrics/lpips/short_convolution.py",
        "metrics/compilation.py",
        "metrics/fsim.py",
        "weights/caffe.py",
        "weights/checkpoints.py",
        "backbones/tapped.py",
        "evaluation/distances/compute.py",
        "color.py",
        "precision.py",
    ],
)
def test_every_file_that_computes_counts(package, file):
    before = digest_of(METRICS)
    path = package / file
    path.write_text(path.read_text() + "# changed\n")
    digest_of.cache_clear()
    assert digest_of(METRICS) != before


def test_every_module_that_the_distances_import_counts():
    counted = {source.removesuffix(".py").replace("/", ".") for source in METRICS}

    def counts(module):
        return any(module == name or module.startswith(f"{name}.") for name in counted)

    imported = {other for module, others in graph().items() if counts(module) for other in others}
    assert {"precision", "color"} <= imported
    assert {name for name in imported if not counts(name)} <= {
        name for name in graph() if name.partition(".")[0] in COMPUTES_NO_DISTANCE
    }


def test_a_file_that_was_moved_counts(package):
    before = digest_of(METRICS)
    (package / "metrics/fsim.py").rename(package / "metrics/other.py")
    digest_of.cache_clear()
    assert digest_of(METRICS) != before


def test_the_file_of_the_users_own_metric_counts(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def distance(x, y):\n    return x - y\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    mine = importlib.import_module("mine").distance
    before = provenance(*METRICS, own=mine)
    (tmp_path / "mine.py").write_text("def distance(x, y):\n    return y - x\n")
    assert provenance(*METRICS, own=mine) != before
    assert provenance(*METRICS, own=l2) == provenance(*METRICS)


def test_libraries_are_named_with_their_versions(monkeypatch):
    before = provenance("color.py")["libraries"]
    assert before.keys() == {"torch", "torchvision", "numpy"}
    monkeypatch.setattr(module, "installed_version", lambda name: "0")
    assert provenance("color.py")["libraries"] == dict.fromkeys(before, "0")
