"""Finding and downloading ImageNet weights.

Sources, in this order: an explicit path; the folder in LPIPS_REPRO_WEIGHTS; the torch hub cache; torchvision's
download. For timm's networks: an explicit path, or timm's download.
"""

import contextlib
import functools
import hashlib
import io
import logging
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor
from torchvision.models import WeightsEnum

from lpips_repro.backbones.registry import BACKBONES
from lpips_repro.errors import UserError
from lpips_repro.weights.folder import FOLDER_VARIABLE, WeightsNotFoundError, weights_folder
from lpips_repro.weights.state_dicts import digest_state, read_state, read_weights

log = logging.getLogger(__name__)

# `digest_state` of the convolutional part of torchvision's ImageNet weights. VGG16's is not known.
FEATURES_SHA256 = {
    "alex": "dad556f11d2a50ed4dc90e8eebf7ef8d3494e51dc5dda06d7972984533778242",
    "squeeze": "4d2481f018a87b39d4c15b1436f14e1da1b231d14a04a29e0f866a8c2055c0be",
}


def imagenet_state(name: str, path: str | Path | None = None, download: bool = True) -> dict[str, Tensor]:
    """The ImageNet weights of a network with torchvision's keys, on the CPU.

    Args:
        name: a key of `BACKBONES`.
        path: an explicit file, which is not compared with torchvision's; no other source is tried then.
        download: whether to download weights that are not found.

    Raises:
        WeightsNotFoundError: if no source has them.
        UserError: if a file cannot be read or does not hold the ImageNet weights.
    """
    if path is not None:
        return read_weights(Path(path), name)
    if (fetch := BACKBONES[name].fetch) is not None:
        return _fetched(name, fetch, download)
    weights = _published(name)
    found = find_imagenet_file(name)
    if found is not None:
        state = read_state(found)
        check_imagenet(name, found, state)
        return state
    # The second remedy works without a checkout of the repository.
    remedy = f"run `{_fetching(name)}`, or download {weights.url} and set {FOLDER_VARIABLE} to the folder it is in"
    if not download:
        raise WeightsNotFoundError(f"no ImageNet weights of {name} on this computer: {remedy}")
    log.info("downloading the ImageNet weights of %s from %s", name, weights.url)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # torch.hub prints what the log says
            downloaded: dict[str, Tensor] = weights.get_state_dict(
                progress=log.isEnabledFor(logging.INFO), check_hash=True, weights_only=True, map_location="cpu"
            )
        return downloaded
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsNotFoundError(f"no ImageNet weights of {name}: {weights.url}: {error}: {remedy}") from None


def _published(name: str) -> WeightsEnum:
    """torchvision's ImageNet weights of a network."""
    weights = BACKBONES[name].imagenet
    if weights is None:
        raise WeightsNotFoundError(f"torchvision has no ImageNet weights of {name}: give a file")
    return weights


def _fetched(name: str, fetch: Callable[[], dict[str, Tensor]], allowed: bool) -> dict[str, Tensor]:
    """The weights that the network's own package downloads."""
    remedy = "give a file (init=file weights=FILE, or --weights FILE of the command)"
    if not allowed:
        raise WeightsNotFoundError(f"weights of {name} may not be downloaded (download=false): allow it, or {remedy}")
    try:
        return fetch()
    except Exception as error:  # of many types: no network, no such weights
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise WeightsNotFoundError(f"no weights of {name} could be downloaded: {reason}: {remedy}") from None


def find_imagenet_file(name: str) -> Path | None:
    """The file on this computer that holds torchvision's ImageNet weights of a network, or None."""
    torchvision_file = Path(_published(name).url).name
    candidates = [Path(torch.hub.get_dir()) / "checkpoints" / torchvision_file]
    folder = weights_folder()
    if folder is not None:
        names = filter(None, (BACKBONES[name].features_file, torchvision_file))
        candidates = [*(folder / name for name in names), *candidates]
    return next((file for file in candidates if file.is_file()), None)


def check_imagenet(name: str, file: Path, state: dict[str, Tensor]) -> None:
    """Raise UserError if a file does not hold torchvision's ImageNet weights; warn if that is not known."""
    published = Path(_published(name).url)
    if name in FEATURES_SHA256:
        wanted = FEATURES_SHA256[name]
        found = digest_state({key: value for key, value in state.items() if key.startswith("features.")})
    elif file.name == published.name:
        wanted = published.stem.rpartition("-")[2]
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    else:
        _warn_unchecked(name, file)
        return
    if not found.startswith(wanted):
        raise UserError(
            f"{file}: not torchvision's ImageNet weights of {name} (digest {found[:12]}, expected {wanted[:12]}):"
            f" move the file away and run `{_fetching(name)}`"
        )


@functools.cache  # once per file: several methods may use it
def _warn_unchecked(name: str, file: Path) -> None:
    log.warning("%s: used as the ImageNet weights of %s without a check: their digest is not known", file, name)


def _fetching(name: str) -> str:
    """The command that fetches the ImageNet weights of a network."""
    return "make weights" if BACKBONES[name].features_file else f'make weights ARGS="net=[{name}]"'
