"""Maps of where two images differ: the distances that LPIPS averages, as numbers or as a picture."""

import io
from pathlib import Path

import cv2
import numpy as np
import torch
import typer
from PIL import Image

from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.printing import write_output
from lpips_repro.cli.reading import Reading, read_pair, to_batch
from lpips_repro.cli.session import Session
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import fault_of
from lpips_repro.metrics.lpips import LPIPS


def write_map_of(session: Session, pair: Pair, output: Path) -> None:
    """Write the map of a pair to a file.

    Raises:
        typer.Exit: with status 1 if the images cannot be compared.
    """
    metric = session.metric
    try:
        found = map_of(pair, metric, session.device, session.reading)
    except (ValueError, MemoryError, RuntimeError) as error:
        session.failed(str(error) if isinstance(error, UserError) else f"{pair.image}: {fault_of(error)}")
        raise typer.Exit(1) from error
    write_map(output, found)
    session.note(f"written: {output}: {session.methods[0].label}, mean {found.mean():.6f}, largest {found.max():.6f}")


@torch.inference_mode()
def map_of(pair: Pair, metric: LPIPS, device: torch.device, reading: Reading) -> np.ndarray:
    """Return the distance map of a pair of images, float32 (H, W).

    Raises:
        ValueError: if the images cannot be read or compared.
    """
    ref, image = (to_batch([pixels], device) for pixels in read_pair(pair, reading))
    metric.spatial = True
    return metric(ref, image, normalize=True)[0, 0].cpu().numpy()


def write_map(path: Path, distances: np.ndarray) -> None:
    """Write a map (H, W): `.npy` has its values; `.png` has colors, from blue for 0 to yellow for the largest value."""
    content = io.BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(content, distances, allow_pickle=False)
    else:
        largest = distances.max()
        pixels = np.round(255 * distances / largest) if largest > 0 else distances
        colors = cv2.applyColorMap(pixels.astype(np.uint8), cv2.COLORMAP_VIRIDIS)
        Image.fromarray(colors[..., ::-1]).save(content, "PNG")
    write_output(path, content.getvalue())
