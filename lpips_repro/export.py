"""A metric as a file that other programs run: ONNX (`.onnx`), or a program of `torch.export` (`.pt2`).

Inputs x and y are float32 (N, 3, H, W) in [-1, 1] with any N, H and W, whose values are not checked. The output is the
N distances, or a map (N, 1, H, W) of a spatial metric. The file is checked after it is written, on batches and sizes
that the export did not see.
"""

import importlib.util
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from lpips_repro.errors import UserError
from lpips_repro.files.writing import partial_of
from lpips_repro.metrics.lpips import LPIPS

SUFFIXES = (".onnx", ".pt2")
TRACED = (2, 3, 64, 80)  # batch and size that the export sees
CHECKED = ((1, 3, 96, 112), (3, 3, 75, 131))
TOLERANCE = 1e-5
PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Runner = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Exported:
    """A file that was written and checked.

    Attributes:
        difference: the largest absolute difference from the metric, on batches and sizes that the export did not see.
        smallest: the smallest side of images that it takes.
    """

    path: Path
    difference: float
    smallest: int


def export(metric: LPIPS, path: Path) -> Exported:
    """Write a metric to a file, load the file again and compare its distances with the metric's.

    Args:
        metric: on the CPU; path: ends in `.onnx` or `.pt2`, which says what is written.

    Raises:
        UserError: for another suffix, if a package is missing, if the network cannot be exported, or if the distances
            differ by more than 1e-5. No file is left then.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if path.suffix == ".onnx" and (missing := [name for name in PACKAGES if not importlib.util.find_spec(name)]):
        raise UserError(f"{path}: ONNX needs {', '.join(missing)}: pip install 'lpips_repro[export]'")
    program = _traced(metric)
    partial = partial_of(path, 0).with_suffix(path.suffix)
    try:
        run = _write_onnx(program, partial) if path.suffix == ".onnx" else _write_program(program, partial)
        difference = max(_difference(metric, run, shape) for shape in CHECKED)
        if not difference <= TOLERANCE:
            raise UserError(f"{path}: its distances differ by {difference:.2g} from the metric's: nothing is written")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return Exported(path, difference, _smallest_side(program))


def _traced(metric: LPIPS) -> ExportedProgram:
    shape = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    try:
        return torch.export.export(metric, (_images(TRACED, 0), _images(TRACED, 1)), dynamic_shapes=(shape, shape))
    except Exception as error:  # torch has many types for it
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{metric.backbone.name}: torch.export cannot export this network: {reason}") from error


def _write_program(program: ExportedProgram, path: Path) -> Runner:
    torch.export.save(program, path)
    return torch.export.load(path).module()


def _write_onnx(program: ExportedProgram, path: Path) -> Runner:
    import onnxruntime

    with warnings.catch_warnings(action="ignore"), redirect_stdout(StringIO()):
        written: Any = torch.onnx.export(
            program, dynamo=True, input_names=["x", "y"], output_names=["distance"], verbose=False
        )
        written.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(x: Tensor, y: Tensor) -> Tensor:
        (found,) = session.run(None, {"x": x.numpy(), "y": y.numpy()})
        return torch.from_numpy(found)

    return run


@torch.inference_mode()
def _difference(metric: LPIPS, run: Runner, shape: tuple[int, ...]) -> float:
    x, y = _images(shape, 2), _images(shape, 3)
    return float((run(x, y) - metric(x, y)).abs().max())


def _images(shape: tuple[int, ...], seed: int) -> Tensor:
    return 2 * torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 1


def _smallest_side(program: ExportedProgram) -> int:
    """The least height and width that the export allows, which can be more than the network's."""
    return max((int(limits.lower) for limits in list(program.range_constraints.values())), default=0)
