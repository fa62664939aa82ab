"""The layers of a `.npy` dictionary, as written by converters of Caffe models: {layer: {"weights": w, "biases": b}} or
{layer: [w, b]}.

NumPy stores a dictionary as a pickle, and unpickling can run any code. This reader runs none: it accepts numbers,
strings, lists, dictionaries and arrays, and replaces the few classes that arrays are stored with by classes of this
file.
"""

import pickle
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lpips_repro.errors import UserError
from lpips_repro.weights.caffemodel import Layer

EXPECTED = 'expected a dictionary {layer: {"weights": w, "biases": b}} or {layer: [w, b]} of strings and arrays'


def read_caffe_npy(path: Path) -> list[Layer]:
    """The layers of a file in its order, without running code in it; UserError if it is not such a dictionary."""
    try:
        with path.open("rb") as file:
            content = _plain(_load(file))
        if not isinstance(content, dict):
            raise ValueError(f"holds a {type(content).__name__}")
        return [_layer(name, value) for name, value in content.items()]
    # The unpickler can raise any of these for another kind of file.
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: not a readable dictionary of weights ({reason}): {EXPECTED}") from None


def _layer(name: Any, value: Any) -> Layer:
    if isinstance(value, dict):
        unknown = value.keys() - {"weights", "biases"}
        value = [value["weights"], *([value["biases"]] if "biases" in value else [])] if not unknown else None
    is_layer = isinstance(name, str) and isinstance(value, list) and value
    if not (is_layer and all(isinstance(array, np.ndarray) for array in value)):
        raise ValueError(f"entry {name!r} is not a layer")
    kind = "Convolution" if value[0].ndim == 4 else ""
    return Layer(name, kind, [np.asarray(array, dtype=np.float32) for array in value])


def _load(file: BinaryIO) -> Any:
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if not dtype.hasobject:
        raise ValueError(f"holds an array {shape} of {dtype}")
    return _Unpickler(file, encoding="latin1").load()  # the encoding of arrays from Python 2


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        stand_in = STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if stand_in is None:
            raise pickle.UnpicklingError(f"{module}.{name} is neither an array nor plain data")
        return stand_in


class _Dtype:
    """Replaces numpy.dtype."""

    def __init__(self, name: str, *_: Any):
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def read(self, raw: bytes | str, shape: tuple[int, ...], fortran: bool) -> np.ndarray:
        if not re.fullmatch("[fiu][1248]", self.name):
            raise ValueError(f"an array of type {self.name}")
        order = self.order if self.order in "<>" else "="
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        return np.frombuffer(data, np.dtype(order + self.name)).reshape(shape, order="F" if fortran else "C")


class _Array:
    """Replaces numpy.ndarray; value: the array, or the list of elements of an array of objects."""

    value: np.ndarray | list[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        self.value = raw if isinstance(raw, list) else dtype.read(raw, shape, fortran)
        if isinstance(raw, list) and not shape:
            (self.value,) = raw


def _to_bytes(text: str, encoding: str) -> bytes:
    """Replaces codecs.encode, which older pickles use for bytes."""
    if encoding != "latin1":
        raise ValueError(f"bytes as {encoding}")
    return text.encode("latin1")


STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _to_bytes,
}


def _plain(value: Any) -> Any:
    """The value, with arrays instead of their stand-ins."""
    if isinstance(value, _Array):
        return _plain(value.value)
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
