"""Where two images differ: the map of distances that LPIPS averages, as numbers or as a picture."""

import io
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from lpips_repro.cli.methods import ReadyMethod
from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.reading import Reading, read_pair, to_batch
from lpips_repro.errors import UserError
from lpips_repro.files import write_whole

SUFFIXES = (".npy", ".png")


@torch.inference_mode()
def map_of(pair: Pair, method: ReadyMethod, device: torch.device, reading: Reading) -> np.ndarray:
    """The distances at every place of a pair of images, float32 (H, W).

    Raises:
        UserError: if the method has no map, or the images cannot be compared.
    """
    if method.distance.lpips is None:
        raise UserError(f"{method.label}: has no map of distances: choose a network, such as -m alex")
    ref, image = (to_batch([pixels], device) for pixels in read_pair(pair, reading))
    core, head = method.distance.lpips
    images = core.checked({"ref": ref, "image": image}, normalize=True)
    found = core.in_blocks(images, True, None, lambda block, count, _: core.maps_of(block, count, head))
    return found.sum(dim=2)[0, 0, 0].float().cpu().numpy()


def write_map(path: Path, distances: np.ndarray) -> None:
    """Write a map: `.npy` has its numbers; `.png` has colors, from blue for 0 to yellow for the largest distance."""
    content = io.BytesIO()
    if path.suffix == ".npy":
        np.save(content, distances, allow_pickle=False)
    elif path.suffix == ".png":
        largest = distances.max()
        pixels = np.round(255 * distances / largest) if largest > 0 else distances
        colors = cv2.applyColorMap(pixels.astype(np.uint8), cv2.COLORMAP_VIRIDIS)
        Image.fromarray(colors[..., ::-1]).save(content, "PNG")
    else:
        raise UserError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    write_whole(path, content.getvalue())
