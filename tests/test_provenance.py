import shutil
import sys

import pytest
import torch

from lpips_repro import provenance as module
from lpips_repro.metrics import l2
from lpips_repro.modules import import_file
from lpips_repro.provenance import METRICS, PACKAGE, digest_of, own_code, provenance
from tests.test_import_order import graph

# Modules that the code of the distances imports, but on which no number depends: settings, messages, files, processes,
# and the packed splits, whose digest is part of every identity.
COMPUTES_NO_DISTANCE = {
    *("datasets", "devices", "distributed", "download", "errors", "evaluation", "protocols", "files"),
    *("logs", "modules", "progress", "quoting", "versions"),
}
SETTINGS = {"config", "config.parse"}  # of downloads


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the code that the distances of any method depend on."""
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
        "config/library_table.py",
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
    assert {name for name in imported - SETTINGS if not counts(name)} <= {
        name for name in graph() if name.partition(".")[0] in COMPUTES_NO_DISTANCE
    }


def test_a_file_that_was_moved_counts(package):
    before = digest_of(METRICS)
    (package / "metrics/fsim.py").rename(package / "metrics/other.py")
    digest_of.cache_clear()
    assert digest_of(METRICS) != before


@pytest.fixture
def own(tmp_path):
    """A function that writes a source to `mine.py`, imports it, and returns its variable `made`."""
    file = tmp_path / "own/mine.py"
    file.parent.mkdir()

    def load(source):
        file.write_text(source)
        import_file(file, "metric")
        return sys.modules[name].made

    name = f"file:{file}"
    yield load
    sys.modules.pop(name, None)


MINE = "def made(x, y):\n    return x - y\n"


def test_the_file_of_the_users_own_function_counts(own, tmp_path):
    before = provenance(*METRICS, own=[own(MINE)])
    assert before != provenance(*METRICS)
    assert provenance(*METRICS, own=[own(MINE), l2, None]) == before
    assert provenance(*METRICS, own=[own(MINE + "# changed")]) != before
    assert provenance(*METRICS, own=[l2, None]) == provenance(*METRICS)


@pytest.mark.parametrize(
    "source",
    [
        "import helper\n",
        "from helper import value\n",
        "from helper import *\n",
        "def later():\n    import helper\n",
        "import sibling\n",
        "from sub import first\n",
        "from sub.first import value\n",
        "import sub.first as other\n",
        "from own import helper\n",
        "import own.sub.first\n",
    ],
)
def test_imports_of_the_users_file_from_its_folder_count(source, tmp_path):
    (tmp_path / "own/sub").mkdir(parents=True)
    files = {name: tmp_path / "own" / name for name in ("mine.py", "helper.py", "sibling.py", "sub/first.py")}
    for file in files.values():
        file.write_text("value = 1\n")
    (tmp_path / "own/sub/last.py").write_text("value = 1\n")
    for name in ("helper.py", "sibling.py"):
        files[name].write_text("from sub import first\n")
    files["sub/first.py"].write_text("from .last import value\n")
    files["mine.py"].write_text(source + MINE)
    before = code_of(files["mine.py"])
    (tmp_path / "own/never.py").write_text("value = 2\n")
    (tmp_path / "outside.py").write_text("value = 2\n")
    assert code_of(files["mine.py"]) == before
    (tmp_path / "own/sub/last.py").write_text("value = 2\n")
    assert code_of(files["mine.py"]) != before


def code_of(file):
    return module._digest_with_imports(file)


def test_the_place_of_the_users_file_does_not_count(tmp_path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helper.py").write_text("import helper, mine\n")
        (tmp_path / folder / "mine.py").write_text("import helper\n")
    (tmp_path / "other/mine.py").rename(tmp_path / "other/renamed.py")
    (tmp_path / "other/helper.py").write_text("import helper, mine\n")
    assert code_of(tmp_path / "one/mine.py") == code_of(tmp_path / "other/renamed.py")


def test_a_function_counts_with_its_own_file_also_if_it_is_wrapped(own):
    source = (
        "import functools, torch\n@torch.no_grad()\ndef inner(x):\n    return x\n"
        "class Called:\n    def __call__(self, x):\n        return x\n"
        "made = [inner, functools.partial(inner), Called, Called(), functools.partial(Called())]\n"
    )
    assert len({own_code(one) for one in own(source)} | {own_code(*own(source))}) == 1
    assert own_code(own(source)[0])


def test_a_function_without_a_file_does_not_count():
    typed = eval("lambda: 0", {"__name__": "a session"})
    assert own_code(torch.neg, len, None, typed) == ""


def test_this_package_does_not_count_as_an_import_of_a_file_next_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "ours")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/metrics.py").write_text("")
    (tmp_path / "mine.py").write_text("from ours.metrics import l2\n")
    before = code_of(tmp_path / "mine.py")
    (tmp_path / "ours/metrics.py").write_text("# changed\n")
    assert code_of(tmp_path / "mine.py") == before


def test_a_file_of_an_installed_package_counts_alone(tmp_path):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "mine.py").write_text("import torch\n")
    before = code_of(folder / "mine.py")
    (folder / "torch.py").write_text("# large\n")
    assert code_of(folder / "mine.py") == before


def test_libraries_are_named_with_their_versions(monkeypatch):
    before = provenance("color.py")["libraries"]
    assert before.keys() == {"torch", "torchvision", "numpy"}
    monkeypatch.setattr(module, "installed_version", lambda name: "0")
    assert provenance("color.py")["libraries"] == dict.fromkeys(before, "0")
