"""Reading state dicts from files without running code in them, and their digests."""

import argparse
import hashlib
import pickle
from pathlib import Path

import torch
from torch import Tensor

from lpips_repro.errors import UserError
from lpips_repro.weights.caffe import READERS, read_caffe
from lpips_repro.weights.checkpoints import encoder_state

REMEDY = "move it away and download it again"  # for a file that cannot be read


def read_weights(path: Path, net: str) -> dict[str, Tensor]:
    """The parameters of a backbone from a state dict or a file of Caffe's layers.

    Raises:
        UserError: if the file cannot be read or has no weights of this backbone.
    """
    return read_caffe(path, net) if path.suffix in READERS else read_state(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, on the CPU, read without running code in it; UserError if it cannot be read.

    For a checkpoint of self-supervised learning it is the encoder's: see `lpips_repro.weights.checkpoints`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # checkpoints may hold settings: plain data
            state: dict[str, Tensor] = encoder_state(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # the unpickler can raise nearly anything for another kind of file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # its message advises to run the code in the file
            reason = "not a file of torch.save, or one that holds code"
        raise UserError(f"{path}: not a readable weights file ({reason}): {REMEDY}") from None
    is_state = isinstance(state, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not is_state:
        raise UserError(f"{path}: holds a {type(state).__name__}: expected a state dict, tensors by key")
    return state


def digest_state(state: dict[str, Tensor]) -> str:
    """SHA-256 of keys, shapes and values of a state dict: equal for equal weights in another file."""
    sha = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        sha.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().data)  # bytes: NumPy has no bfloat16 and no float8
    return sha.hexdigest()
