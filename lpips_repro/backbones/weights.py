"""Where ImageNet weights come from.

In this order: an explicit path; the folder in LPIPS_REPRO_WEIGHTS; the torch hub cache; torchvision's own download.
Of timm's networks: an explicit path, or timm's own download.
"""

import argparse
import contextlib
import hashlib
import logging
import os
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from lpips_repro.backbones.caffe import READERS, read_caffe
from lpips_repro.backbones.checkpoints import encoder_state
from lpips_repro.backbones.registry import BACKBONES
from lpips_repro.errors import UserError

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "LPIPS_REPRO_WEIGHTS"

# `digest_state` of torchvision's ImageNet weights, convolutional part; VGG16's were not at hand to take it of.
FEATURES_SHA256 = {
    "alex": "dad556f11d2a50ed4dc90e8eebf7ef8d3494e51dc5dda06d7972984533778242",
    "squeeze": "4d2481f018a87b39d4c15b1436f14e1da1b231d14a04a29e0f866a8c2055c0be",
}


class WeightsNotFoundError(UserError):
    """No weights at hand: the message says where they were looked for and how to get them."""


def imagenet_state(name: str, path: str | Path | None = None, download: bool = True) -> dict[str, Tensor]:
    """The ImageNet weights of a network, under torchvision's keys, on the CPU.

    Args:
        name: a key of `BACKBONES`.
        path: an explicit file, taken for what it is; nothing else is tried then.
        download: whether torchvision may download what is not found.

    Raises:
        WeightsNotFoundError: where no source has them.
        UserError: where a file is there and cannot be read, or does not hold the ImageNet weights.
    """
    if path is not None:
        return read_weights(Path(path), name)
    if BACKBONES[name].fetch is not None:
        return _fetched(name, download)
    if BACKBONES[name].imagenet is None:
        raise WeightsNotFoundError(
            f"no ImageNet weights of {name} are published where torchvision has them: give a file"
        )
    found = find_imagenet_file(name)
    if found is not None:
        state = read_state(found)
        check_imagenet(name, found, state)
        return state
    weights = BACKBONES[name].imagenet
    # The second way needs no checkout.
    remedy = f"run `{_fetching(name)}`, or download {weights.url} and set {FOLDER_VARIABLE} to the folder it is in"
    if not download:
        raise WeightsNotFoundError(f"no ImageNet weights of {name} at hand: {remedy}")
    log.info("downloading the ImageNet weights of %s from %s", name, weights.url)
    try:
        return weights.get_state_dict(progress=True, check_hash=True, weights_only=True, map_location="cpu")
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsNotFoundError(f"no ImageNet weights of {name}: {weights.url}: {error}: {remedy}") from None


def _fetched(name: str, allowed: bool) -> dict[str, Tensor]:
    """What the network's own package downloads."""
    remedy = "give a file (init=file weights=FILE)"
    if not allowed:
        raise WeightsNotFoundError(f"weights of {name} may not be downloaded (download=false): allow it, or {remedy}")
    try:
        return BACKBONES[name].fetch()
    except Exception as error:  # of many kinds: no network, no such weights
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise WeightsNotFoundError(f"no weights of {name} could be downloaded: {reason}: {remedy}") from None


def find_imagenet_file(name: str) -> Path | None:
    """The file on this computer that holds torchvision's ImageNet weights of a network, or None."""
    spec = BACKBONES[name]
    torchvision_file = Path(spec.imagenet.url).name
    candidates = [Path(torch.hub.get_dir()) / "checkpoints" / torchvision_file]
    folder = weights_folder()
    if folder is not None:
        names = filter(None, (spec.features_file, torchvision_file))
        candidates = [*(folder / name for name in names), *candidates]
    return next((file for file in candidates if file.is_file()), None)


def check_imagenet(name: str, file: Path, state: dict[str, Tensor]) -> None:
    """Raise UserError where a file does not hold torchvision's ImageNet weights; warn where that cannot be told."""
    published = Path(BACKBONES[name].imagenet.url)
    if name in FEATURES_SHA256:
        wanted = FEATURES_SHA256[name]
        found = digest_state({key: value for key, value in state.items() if key.startswith("features.")})
    elif file.name == published.name:
        wanted = published.stem.rpartition("-")[2]
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    else:
        log.warning("%s: taken for the ImageNet weights of %s unchecked: no digest of them is known", file, name)
        return
    if not found.startswith(wanted):
        raise UserError(
            f"{file}: not torchvision's ImageNet weights of {name} (digest {found[:12]}, expected {wanted[:12]}):"
            f" move it away and run `{_fetching(name)}`"
        )


def _fetching(name: str) -> str:
    """The command that fetches the ImageNet weights of a network."""
    return "make weights" if BACKBONES[name].features_file else f'make weights ARGS="net=[{name}]"'


def weights_folder() -> Path | None:
    """The folder in LPIPS_REPRO_WEIGHTS, or None where it is not set; UserError where it is not a folder."""
    value = os.environ.get(FOLDER_VARIABLE)
    if not value:
        return None
    with contextlib.suppress(RuntimeError):  # ~ of an unknown user
        folder = Path(value).expanduser()
        if folder.is_dir():
            return folder
    raise UserError(f"{FOLDER_VARIABLE}={value}: no such folder: correct or unset the variable")


def read_weights(path: Path, net: str) -> dict[str, Tensor]:
    """The parameters of a backbone from a file of any kind that is known: a state dict, or Caffe's layers.

    Raises:
        UserError: where the file cannot be read, or holds no weights of this backbone.
    """
    return read_caffe(path, net) if path.suffix in READERS else read_state(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """A state dict from a file, safely (no code in it is run), on the CPU; UserError where that cannot be done.

    Of a checkpoint of self-supervised learning, the encoder's: see `lpips_repro.backbones.checkpoints`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # settings in checkpoints: plain data
            state = encoder_state(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # the unpickler can raise nearly anything on a file of another kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: not a readable weights file ({reason}): move it away and fetch it again") from None
    is_state = isinstance(state, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not is_state:
        raise UserError(f"{path}: holds a {type(state).__name__}: expected a state dict, tensors by key")
    return state


def digest_state(state: dict[str, Tensor]) -> str:
    """SHA-256 over keys, shapes and values of a state dict: the same for the same weights in another file."""
    sha = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        sha.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.numpy().data)
    return sha.hexdigest()
