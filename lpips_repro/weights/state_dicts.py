"""Reading state dicts from files without running code in them, and their digests."""

import argparse
import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lpips_repro.errors import UserError
from lpips_repro.weights.caffe import READERS, read_caffe
from lpips_repro.weights.checkpoints import encoder_state

REMEDY = "move it away and download it again"  # for a file that cannot be read
SAFETENSORS = ".safetensors"


def read_weights(path: Path, net: str) -> dict[str, Tensor]:
    """The parameters of a backbone from a state dict (`torch.save`, safetensors) or a file of Caffe's layers.

    Raises:
        UserError: if the file cannot be read or has no weights of this backbone.
    """
    return read_caffe(path, net) if path.suffix in READERS else read_state(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, on the CPU, read without running code in it; UserError if it cannot be read.

    The file is of `torch.save`, or ends in .safetensors and is of that package.

    For a checkpoint of self-supervised learning it is the encoder's: see `lpips_repro.weights.checkpoints`.
    """
    if not path.is_file():
        raise UserError(f"{path}: {'not a file' if path.exists() else 'no such weights file'}")
    try:
        state: dict[str, Tensor] = encoder_state(_content(path))
    except UserError:
        raise
    except Exception as error:  # the unpickler can raise nearly anything for another kind of file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # its message advises to run the code in the file
            reason = "not a file of torch.save, or one that holds code"
        raise UserError(f"{path}: not a readable weights file ({reason}): {REMEDY}") from None
    is_state = isinstance(state, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not is_state:
        raise UserError(f"{path}: holds a {type(state).__name__}: expected a state dict, tensors by key")
    return state


def _content(path: Path) -> Any:
    """What a file of torch.save or safetensors holds, tensors on the CPU."""
    if path.suffix.lower() == SAFETENSORS:
        try:
            from safetensors.torch import load_file  # which timm installs
        except ImportError:
            raise UserError(f'{path}: safetensors is not installed: run pip install "lpips_repro[timm]"') from None
        return load_file(path)
    with torch.serialization.safe_globals([argparse.Namespace]):  # checkpoints may hold settings: plain data
        return torch.load(path, map_location="cpu", weights_only=True)


def digest_state(state: dict[str, Tensor]) -> str:
    """SHA-256 of keys, shapes and values of a state dict: equal for equal weights in another file."""
    sha = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        sha.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().data)  # bytes: NumPy has no bfloat16 and no float8
    return sha.hexdigest()
