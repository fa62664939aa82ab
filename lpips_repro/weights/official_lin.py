"""The official lin weights of the paper's authors, checked against their SHA-256.

Sources, in this order: an installed package `lpips`; the folder in LPIPS_REPRO_WEIGHTS (v0.1/alex.pth and so on); the
torch hub cache; a download from the authors' repository into that cache.
"""

import hashlib
import importlib.util
import logging
from pathlib import Path

import torch
from torch import Tensor

from lpips_repro.errors import UserError
from lpips_repro.weights.folder import FOLDER_VARIABLE, WeightsNotFoundError, weights_folder
from lpips_repro.weights.state_dicts import read_state

log = logging.getLogger(__name__)

URL = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v{version}/{net}.pth"

SHA256 = {
    ("alex", "0.0"): "18720f55913d0af89042f13faa7e536a6ce1444a0914e6db9461355ece1e8cd5",
    ("squeeze", "0.0"): "c27abd3a0145541baa50990817df58d3759c3f8154949f42af3b59b4e042d0bf",
    ("vgg", "0.0"): "b9e4236260c3dd988fc79d2a48d645d885afcbb21f9fd595e6744cf7419b582c",
    ("alex", "0.1"): "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ("squeeze", "0.1"): "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
    ("vgg", "0.1"): "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
}


def official_lin_state(net: str, version: str, download: bool = True) -> dict[str, Tensor]:
    """The official lin weights under the released keys `linK.model.1.weight`, each (1, C, 1, 1).

    Args:
        net, version: one of the pairs in `SHA256`.
        download: whether to download weights that are not found.

    Raises:
        WeightsNotFoundError: if no source has them, or if there are none for this net and version.
        UserError: if a file is not the official one.
    """
    if (net, version) not in SHA256:
        known = ", ".join(f"{n} v{v}" for n, v in SHA256)
        raise WeightsNotFoundError(f"no official lin weights of {net} v{version}: there are {known}")
    file = find_lin_file(net, version)
    if file is None:
        file = _download(net, version, download)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != SHA256[net, version]:
        raise UserError(
            f"{file}: SHA-256 {found}: expected {SHA256[net, version]} of the official weights: move the file away to"
            " download it again"
        )
    return read_state(file)


def find_lin_file(net: str, version: str) -> Path | None:
    """The file on this computer with the official lin weights, not yet checked, or None."""
    candidates = []
    package = importlib.util.find_spec("lpips")
    if package is not None and package.origin is not None:
        candidates.append(Path(package.origin).parent / "weights" / f"v{version}" / f"{net}.pth")
    folder = weights_folder()
    if folder is not None:
        candidates.append(folder / f"v{version}" / f"{net}.pth")
    candidates.append(_cached(net, version))
    return next((file for file in candidates if file.is_file()), None)


def _cached(net: str, version: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / f"lpips-lin-v{version}-{net}.pth"


def _download(net: str, version: str, allowed: bool) -> Path:
    url = URL.format(net=net, version=version)
    remedy = f"run `make weights` or `pip install --no-deps lpips`, or put v{version}/{net}.pth into {FOLDER_VARIABLE}"
    if not allowed:
        raise WeightsNotFoundError(f"no official lin weights of {net} v{version} on this computer: {remedy}")
    file = _cached(net, version)
    file.parent.mkdir(parents=True, exist_ok=True)
    log.info("downloading %s", url)
    try:
        torch.hub.download_url_to_file(url, str(file), hash_prefix=SHA256[net, version], progress=False)
    except (OSError, RuntimeError) as error:
        raise WeightsNotFoundError(f"no official lin weights of {net} v{version}: {url}: {error}: {remedy}") from None
    return file
