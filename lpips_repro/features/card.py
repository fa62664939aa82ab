"""The identity of stored features, whose digest is in the name of their folder, and their card.

The card has the identity and the SHA-256 of each file.
"""

import contextlib
import functools
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import torch

from lpips_repro.backbones import BACKBONES
from lpips_repro.datasets.split import Split
from lpips_repro.files import read_json, write_whole
from lpips_repro.provenance import LIBRARIES, METRICS, VERSIONS, provenance

log = logging.getLogger(__name__)


def identity_of(
    backbone: str, weights: str, version: str, split: Split, dtype: str, device: torch.device, noise: bool
) -> dict[str, Any]:
    """Everything that the values depend on; arguments as for `stored_features`; weights: their digest."""
    spec = BACKBONES[backbone]
    libraries = (*LIBRARIES, *["timm"] * backbone.startswith("timm/"))
    return {
        "backbone": backbone,
        "weights": weights,
        "version": version,
        "split": split.name,
        "split_digest": split.card["digest"],
        "resize": split.card["resize"],
        "dtype": dtype,
        "noise": noise,
        "device": device.type,
        **provenance(*METRICS, "features", libraries=libraries, own=(spec.layers, spec.preprocess)),
    }


def folder_of(root: Path, identity: dict[str, Any], split: Split) -> Path:
    """The folder of the features of an identity, under `root`, the folder of all features."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    name = f"{identity['backbone']}-v{identity['version']}-{split.name}-{digest}".replace("/", "-")
    return root / split.card["dataset"] / name


def say_what_changed(folder: Path, identity: dict[str, Any]) -> None:
    """Log why features are computed again, if there are some of another version of the program or libraries."""
    begins = folder.name.rpartition("-")[0]
    for file in folder.parent.glob(f"{begins}-*/card.json"):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # AttributeError: not the card of features
            card = read_json(file)
            changed = {key for key, value in identity.items() if card.get(key) != value}
            if changed and changed <= VERSIONS.keys():
                log.info(
                    "features of an earlier version are not used, because %s changed: they are computed again, and the"
                    " earlier ones stay in %s",
                    *(" and ".join(VERSIONS[key] for key in sorted(changed)), file.parent),
                )
                return


def write_card(folder: Path, identity: dict[str, Any]) -> None:
    """Write the card, which marks the features of a folder as complete."""
    digests = {file.name: _digest(file) for file in folder.glob("*.npy")}
    write_whole(folder / "card.json", json.dumps({**identity, "files": digests}, indent=2) + "\n")


def is_as_stored(file: Path) -> bool:
    """Whether a file of complete features has the digest on their card. It warns if the digest differs.

    A file is read once per process, unless it changes.
    """
    try:
        digest, state = read_json(file.parent / "card.json")["files"][file.name], file.stat()
    except (OSError, ValueError, LookupError, TypeError):  # a card of an earlier version, or a damaged one
        return False
    return isinstance(digest, str) and _has_digest(file, digest, state.st_mtime_ns, state.st_size)


@functools.cache
def _has_digest(file: Path, digest: str, written: int, size: int) -> bool:
    """Whether a file has a digest; `written` and `size` are part of the cache's key."""
    found = _digest(file) == digest
    if not found:
        log.warning("%s: changed since it was stored: not used", file)
    return found


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
