"""A metric as ONNX file and as program of torch.export gives the same distances for any batch and image size."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lpips_repro import export as module
from lpips_repro.backbones import gaussian_state
from lpips_repro.errors import UserError
from lpips_repro.export import CHECKED, TRACED, export
from lpips_repro.metrics.lpips import LPIPS
from tests.generated import formula_state

# Batch and image sizes that neither the export nor its check uses.
SHAPES = ((1, 3, 70, 101), (5, 3, 128, 67))
SLOW = pytest.mark.slow


def metric_of(net: str, variant: str = "lin", *, spatial: bool = False) -> LPIPS:
    """A metric with weights by formula, or with random weights if the network has normalization layers."""
    normalizes = any(kind in net for kind in ("resnet", "convnext", "vit"))
    state = gaussian_state(net, 0) if normalizes else formula_state(net)
    return LPIPS(net, variant, weights=state, spatial=spatial)


def run(path: Path, x: Tensor, y: Tensor) -> Tensor:
    """The output of a file for two batches of images, run as users run it."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(x, y)
    import onnxruntime

    return torch.from_numpy(onnxruntime.InferenceSession(path).run(None, {"x": x.numpy(), "y": y.numpy()})[0])


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
@pytest.mark.parametrize(
    ("net", "variant", "spatial"),
    [
        ("alex", "lin", False),
        pytest.param("squeeze", "lin", False, marks=SLOW),
        pytest.param("vgg", "lin", False, marks=SLOW),
        pytest.param("alex", "lin", True, marks=SLOW),
        pytest.param("squeeze", "lin", True, marks=SLOW),
        pytest.param("vgg", "lin", True, marks=SLOW),
        pytest.param("alex", "off_the_shelf", False, marks=SLOW),
        pytest.param("caffenet", "off_the_shelf", True, marks=SLOW),
        pytest.param("resnet18", "off_the_shelf", False, marks=SLOW),
        pytest.param("convnext_tiny", "off_the_shelf", False, marks=SLOW),
        pytest.param("timm/test_resnet", "off_the_shelf", False, marks=SLOW),
        pytest.param("timm/test_vit", "off_the_shelf", False, marks=SLOW),
    ],
)
def test_a_file_gives_the_distances_of_the_metric(net, variant, spatial, suffix, tmp_path, capfd, recwarn):
    if suffix == ".onnx":
        pytest.importorskip("onnxruntime")
    metric, path = metric_of(net, variant, spatial=spatial), tmp_path / f"metric{suffix}"
    exported = export(metric, path)
    assert "constant folding" not in "".join(capfd.readouterr())
    assert not [warning for warning in recwarn if issubclass(warning.category, UserWarning)]
    assert exported.path == path and exported.difference <= 1e-5
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    for shape in SHAPES:
        assert shape not in (TRACED, *CHECKED)
        x, y = torch.rand(2, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
        wanted = metric(x, y)
        assert wanted.abs().max() > 1e-2
        torch.testing.assert_close(run(path, x, y), wanted, atol=1e-5, rtol=0)


@SLOW
@pytest.mark.parametrize("net", ["alex", "squeeze", "vgg"])
def test_a_program_accepts_its_smallest_size_and_refuses_smaller_images(net, tmp_path):
    metric = metric_of(net)
    smallest = export(metric, tmp_path / "metric.pt2").smallest
    assert metric.backbone.spec.min_size <= smallest < 64
    program = torch.export.load(tmp_path / "metric.pt2").module()
    x, y = torch.rand(2, 2, 3, smallest, smallest) * 2 - 1
    torch.testing.assert_close(program(x, y), metric(x, y), atol=1e-5, rtol=0)
    with pytest.raises((AssertionError, RuntimeError)):
        program(x[..., 1:], y[..., 1:])


@pytest.fixture
def quick(monkeypatch):
    """Replace the export: its content is a few bytes, and running it runs the metric."""
    metric = metric_of("alex")
    monkeypatch.setattr(module, "_traced", lambda metric: torch.export.export(torch.nn.Identity(), (torch.ones(2),)))
    monkeypatch.setattr(module, "_smallest_side", lambda program: 31)
    monkeypatch.setitem(module.FORMATS, ".pt2", lambda program: (b"new", metric))
    return metric


def test_an_existing_file_is_replaced(quick, tmp_path):
    (tmp_path / "metric.pt2").write_bytes(b"old")
    assert export(quick, tmp_path / "metric.pt2").difference == 0
    assert (tmp_path / "metric.pt2").read_bytes() == b"new"


def not_traced(metric):
    raise RuntimeError("Constraints violated (L['x'].size()[2])!\n  - Not all values satisfy it")


def no_space(*_):
    raise OSError(28, "No space left on device")


def too_large(program):
    return b"new", lambda x, y: torch.full((len(x),), float("nan"))


def one_size(program):
    def run(x, y):
        raise RuntimeError("Got invalid dimensions for input: y\n Got: 1 Expected: 2")

    return b"new", run


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("write_whole", no_space, "No space left on device: nothing is written"),
        (".pt2", too_large, "its distances differ by nan from the metric's: nothing is written"),
        (".pt2", one_size, "alex cannot be exported for any batch and size: RuntimeError: Got invalid .* input: y$"),
        ("_traced", not_traced, r"alex cannot be exported .*: RuntimeError: Constraints violated"),
    ],
)
def test_after_an_error_the_file_is_unchanged(quick, name, value, reason, monkeypatch, tmp_path):
    if name == ".pt2":
        monkeypatch.setitem(module.FORMATS, name, value)
    else:
        monkeypatch.setattr(module, name, value)
    path = tmp_path / "metric.pt2"
    path.write_bytes(b"old")
    with pytest.raises(UserError, match=f"^{path}: {reason}") as error:
        export(quick, path)
    assert "\n" not in str(error.value)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("metric.pt", r"expected a name that ends in .onnx or .pt2"),
        ("metric", r"expected a name that ends in"),
        ("none/metric.pt2", "no such folder"),
        ("folder.pt2", "is a folder"),
    ],
)
def test_an_invalid_path_is_refused_before_the_export(name, reason, quick, monkeypatch, tmp_path):
    (tmp_path / "folder.pt2").mkdir()
    monkeypatch.delattr(module, "_traced")
    with pytest.raises(UserError, match=f"^{tmp_path / name}: .*{reason}"):
        export(quick, tmp_path / name)


def test_missing_packages_of_onnx_are_named_with_the_command_that_installs_them(quick, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r'ONNX needs onnx, onnxruntime: run pip install "lpips_repro\[export\]"$'):
        export(quick, tmp_path / "metric.onnx")


def test_a_suffix_may_be_in_upper_case(quick, tmp_path):
    assert export(quick, tmp_path / "METRIC.PT2").path.read_bytes() == b"new"
