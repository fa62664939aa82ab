"""Files as Caffe writes them, byte by byte after the protocol buffers' encoding, without their library."""

import struct
from collections.abc import Sequence

import numpy as np


def varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def real(field: int, value: float) -> bytes:
    return varint(field << 3 | 5) + struct.pack("<f", value)


def message(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def blob(values: np.ndarray, form: str = "shape") -> bytes:
    """A BlobProto: with its shape, with the four sides of older files, in double precision, or vectors one by one."""
    flat = np.ascontiguousarray(values, dtype="<f4").ravel()
    shape = message(7, message(1, b"".join(varint(side) for side in values.shape)))
    if form == "double":
        return shape + message(8, flat.astype("<f8").tobytes())
    if form == "single" and values.ndim == 1:
        return shape + b"".join(real(5, value) for value in flat)
    if form == "legacy":
        sides = (*[1] * (4 - values.ndim), *values.shape)
        shape = b"".join(number(field, side) for field, side in enumerate(sides, 1))
    return shape + message(5, flat.tobytes())


def layer(name: str, kind: str, blobs: Sequence[np.ndarray] = (), *, form: str = "shape", more: bytes = b"") -> bytes:
    """A layer of a NetParameter; more: its other fields."""
    arrays = b"".join(message(7, blob(values, form)) for values in blobs)
    return message(100, message(1, name) + message(2, kind) + message(3, "bottom") + arrays + more)


def v1_layer(name: str, kind: int, blobs: Sequence[np.ndarray] = (), *, more: bytes = b"") -> bytes:
    """A layer of the older form."""
    arrays = b"".join(message(6, blob(values, "legacy")) for values in blobs)
    return message(2, message(4, name) + number(5, kind) + arrays + more)
