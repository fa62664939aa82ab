"""Export a metric to a file that other programs run: ONNX (`.onnx`), or a program of `torch.export` (`.pt2`).

Inputs x and y are float32 (N, 3, H, W) in [-1, 1] with any N, H and W. Their values are not checked. The output is N
distances, or maps (N, 1, H, W) of a spatial metric. Before a file is written, its content is loaded and compared with
the metric, on batch and image sizes that the export did not see:

    onnxruntime.InferenceSession("alex.onnx").run(None, {"x": x, "y": y})[0]   # NumPy arrays
    torch.export.load("alex.pt2").module()(x, y)                               # tensors

`torch.export` treats sizes of 1 as special, so each feature map must have at least two pixels per side. Therefore the
smallest images (47 pixels for alex, 33 for squeeze, 32 for vgg) are larger than those of the metric itself. A program
refuses smaller images. For an ONNX file, smaller images are not supported.
"""

import contextlib
import importlib.util
import logging
import math
import operator
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.fx import Node

from lpips_repro.errors import UserError
from lpips_repro.files import write_whole
from lpips_repro.metrics.lpips import LPIPS

TRACED = (2, 3, 64, 80)  # the batch and image size that the export sees
CHECKED = ((1, 3, 96, 112), (3, 3, 75, 131))
TOLERANCE = 1e-5
PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Runner = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Exported:
    """A file that was checked and written.

    Attributes:
        path: the file.
        difference: the largest absolute difference from the metric, on sizes that the export did not see.
        smallest: the smallest side of its input images, in pixels.
    """

    path: Path
    difference: float
    smallest: int


def export(metric: LPIPS, path: Path) -> Exported:
    """Write a metric to a file that gives the same distances.

    Args:
        metric: the metric, on the CPU.
        path: the file. Its suffix, `.onnx` or `.pt2`, selects the format. An existing file is replaced.

    Raises:
        UserError: if the suffix is another one, if the file cannot be written, if a package is missing, if the network
            cannot be exported, or if the distances differ by more than 1e-5. Nothing is written then.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"{path}: expected a name that ends in {' or '.join(FORMATS)}")
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"{path}: {'is a folder' if path.is_dir() else f'{path.parent}: no such folder'}: name a file")
    if suffix == ".onnx" and (missing := [name for name in PACKAGES if not importlib.util.find_spec(name)]):
        raise UserError(f'{path}: ONNX needs {", ".join(missing)}: run pip install "lpips_repro[export]"')
    name = metric.backbone.name
    try:
        program = _traced(metric)
        content, run = FORMATS[suffix](program)
        difference = max(_difference(metric, run, shape) for shape in CHECKED)
    except Exception as error:  # torch, onnxscript and onnxruntime raise many types
        raise UserError(f"{path}: {name} cannot be exported for any batch and size: {_first_line(error)}") from error
    if not difference <= TOLERANCE:
        raise UserError(f"{path}: its distances differ by {difference:.2g} from the metric's: nothing is written")
    try:
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: nothing is written") from error
    return Exported(path, difference, max(metric.backbone.spec.min_size, _smallest_side(program)))


def _traced(metric: LPIPS) -> ExportedProgram:
    shape = dict.fromkeys((0, 2, 3), Dim.DYNAMIC)
    return torch.export.export(metric, (_images(TRACED, 0), _images(TRACED, 1)), dynamic_shapes=(shape, shape))


def _pt2(program: ExportedProgram) -> tuple[bytes, Runner]:
    _use_integers_for_ceil(program)
    file = BytesIO()
    with warnings.catch_warnings():
        # Weights in channels-last order are views of their storage. They are compared after loading.
        warnings.filterwarnings("ignore", "No complete tensor found in the group")
        torch.export.save(program, file)
    content = file.getvalue()
    return content, torch.export.load(BytesIO(content)).module()


def _use_integers_for_ceil(program: ExportedProgram) -> None:
    """Replace ceil(a / b) of sizes by -(-a // b): `torch.export` does not save `math.ceil`, with which timm pads."""
    graph = program.graph_module.graph

    def call(function: Callable[..., Any], *args: Any) -> Node:
        node = graph.call_function(function, args)
        node.meta["val"] = function(*(arg.meta["val"] if isinstance(arg, Node) else arg for arg in args))
        return node

    for node in graph.find_nodes(op="call_function", target=math.ceil):
        (quotient,) = node.args
        if quotient.target is operator.truediv:
            a, b = quotient.args
            with graph.inserting_before(node):
                node.replace_all_uses_with(call(operator.neg, call(operator.floordiv, call(operator.neg, a), b)))
            graph.erase_node(node)


def _onnx(program: ExportedProgram) -> tuple[bytes, Runner]:
    import onnxruntime

    names: dict[str, Any] = {"input_names": ["x", "y"], "output_names": ["distance"]}
    with _without_notes_of_folding():
        written: Any = torch.onnx.export(program, dynamo=True, verbose=False, **names)
    content: bytes = written.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(x: Tensor, y: Tensor) -> Tensor:
        (found,) = session.run(None, {"x": x.numpy(), "y": y.numpy()})
        return torch.from_numpy(found)

    return content, run


@contextlib.contextmanager
def _without_notes_of_folding() -> Iterator[None]:
    """A context without onnxscript's log messages about constants that it does not fold."""

    def is_other(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Skipping constant folding")

    log = logging.getLogger("onnxscript.optimizer._constant_folding")
    log.addFilter(is_other)
    try:
        yield
    finally:
        log.removeFilter(is_other)


# By suffix: functions from a program to the content of a file, and to a function that runs this content.
FORMATS: dict[str, Callable[[ExportedProgram], tuple[bytes, Runner]]] = {".onnx": _onnx, ".pt2": _pt2}


@torch.inference_mode()
def _difference(metric: LPIPS, run: Runner, shape: tuple[int, ...]) -> float:
    x, y = _images(shape, 2), _images(shape, 3)
    return float((run(x, y) - metric(x, y)).abs().max())


def _images(shape: tuple[int, ...], seed: int) -> Tensor:
    return 2 * torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 1


def _smallest_side(program: ExportedProgram) -> int:
    """The least height and width that the program allows. It can differ from the network's."""
    return max(int(limits.lower) for limits in program.range_constraints.values())


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
