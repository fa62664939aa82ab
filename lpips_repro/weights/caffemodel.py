"""The layers of a `.caffemodel` file, a Caffe network as a protocol buffer.

`FIELDS` describes only the messages and fields of Caffe's `caffe.proto` that parameters need, with their numbers. All
else in a file is ignored. Both forms of layers are read: `layer`, and the older `layers`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from lpips_repro.errors import UserError

# Number and type of each field of a message, with "*" if it is repeated. Capitalized types are messages.
FIELDS = {
    "Net": {"layers": (2, "V1Layer*"), "layer": (100, "Layer*")},
    "Layer": {
        "name": (1, "string"),
        "type": (2, "string"),
        "blobs": (7, "Blob*"),
        "relu_param": (123, "ReLU"),
        "batch_norm_param": (139, "BatchNorm"),
    },
    "V1Layer": {"name": (4, "string"), "type": (5, "int32"), "blobs": (6, "Blob*"), "relu_param": (30, "ReLU")},
    "ReLU": {"negative_slope": (1, "float")},
    "BatchNorm": {"eps": (3, "float")},
    "Blob": {
        **{name: (number, "int32") for number, name in enumerate(("num", "channels", "height", "width"), 1)},
        "data": (5, "float*"),
        "shape": (7, "Shape"),
        "double_data": (8, "double*"),
    },
    "Shape": {"dim": (1, "int64*")},
}
# The needed numbers of kinds of layers in the older form.
V1_KINDS = {4: "Convolution", 18: "ReLU"}
# Kinds of layers whose parameters are read. Fully connected layers, which are many times as large, are not.
READ = ("Convolution", "BatchNorm", "Scale")
# Caffe's default for the constant added to a variance.
EPSILON = 1e-5


class Layer(NamedTuple):
    """A layer of a file.

    Attributes:
        name: its name in the file.
        kind: Caffe's name of its type, such as "Convolution"; "" if it is not needed.
        blobs: its parameters, for the kinds in `READ`.
        slope: slope of a ReLU for negative values; epsilon: constant that a BatchNorm adds to the variance.
    """

    name: str
    kind: str
    blobs: list[np.ndarray]
    slope: float = 0.0
    epsilon: float = EPSILON


def read_caffemodel(path: Path) -> list[Layer]:
    """The layers of a file in its order; UserError if it cannot be read or has none."""
    net = _message_class("Net")()
    try:
        net.ParseFromString(path.read_bytes())
        layers = [_read_layer(layer, layer.type) for layer in net.layer]
        layers += [_read_layer(layer, V1_KINDS.get(layer.type, "")) for layer in net.layers]
    except (DecodeError, ValueError) as error:
        raise UserError(f"{path}: not a readable Caffe model ({error}): download it again") from None
    if not layers:
        raise UserError(f"{path}: no layers found: expected a Caffe model with its weights")
    return layers


def _read_layer(layer: Message, kind: str) -> Layer:
    epsilon = EPSILON
    if kind == "BatchNorm" and layer.batch_norm_param.HasField("eps"):
        epsilon = layer.batch_norm_param.eps
    try:
        blobs = [_read_blob(blob) for blob in layer.blobs] if kind in READ else []
    except ValueError as error:
        raise ValueError(f"layer {layer.name}: {error}") from error
    return Layer(layer.name, kind, blobs, layer.relu_param.negative_slope, epsilon)


def _read_blob(blob: Message) -> np.ndarray:
    shape = list(blob.shape.dim) if blob.HasField("shape") else [blob.num, blob.channels, blob.height, blob.width]
    return np.array(blob.data or blob.double_data, dtype=np.float32).reshape(shape)


def _message_class(name: str) -> type[Message]:
    """The class of a message of `FIELDS`."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe")
    for message, fields in FIELDS.items():
        described = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            added = described.field.add(name=field, number=number)
            added.label = added.LABEL_REPEATED if kind.endswith("*") else added.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            if kind in FIELDS:
                added.type, added.type_name = added.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                added.type = getattr(added, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
    return found
