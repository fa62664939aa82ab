"""Image files as what methods compare: decoded, of one size, and in a batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.printing import silent_libraries
from lpips_repro.devices import send
from lpips_repro.errors import UserError, check_utf8
from lpips_repro.images import as_floats, read_rgb

Images = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Reading:
    """How image files are read: the color behind transparent pixels, and the size that images are scaled to.

    Attributes:
        background: see `lpips_repro.images`.
        resize: None for none; "ref" for that of the reference; or (height, width) of both images.
    """

    background: str = "white"
    resize: str | tuple[int, int] | None = None

    @property
    def described(self) -> dict[str, str]:
        """What a distance depends on, as options of the command have it."""
        height_width = "{}x{}".format(*self.resize) if isinstance(self.resize, tuple) else self.resize
        return {"resize": height_width or "no", "background": self.background}


def read_file(path: Path, reading: Reading) -> np.ndarray:
    """The pixels of a file, uint8 or uint16 (H, W, 3), scaled if the reading has a size of its own.

    Raises:
        UserError: if it cannot be read, or its name cannot be printed.
    """
    check_utf8(str(path))
    with silent_libraries():
        pixels = read_rgb(path, reading.background)
    return scaled(pixels, reading.resize) if isinstance(reading.resize, tuple) else pixels


def read_pair(pair: Pair, reading: Reading, read_ref: Callable[[Path, Reading], np.ndarray] = read_file) -> Images:
    """The pixels of a pair, of one size; `read_ref` reads the reference.

    Raises:
        UserError: if a file cannot be read, or the sizes differ.
    """
    ref, image = read_ref(pair.ref, reading), read_file(pair.image, reading)
    if reading.resize == "ref":
        image = scaled(image, ref.shape[:2])
    if ref.shape != image.shape:
        (h, w, _), (height, width, _) = ref.shape, image.shape
        raise UserError(
            f"{pair.image}: {width} x {height} pixels (W x H), {pair.ref} has {w} x {h}: expected one size: --resize"
            " HxW scales both, --resize ref (not in a matrix) the image to its reference"
        )
    return ref, image


def scaled(pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Pixels (H, W, 3) scaled to (height, width) by Pillow's antialiased bilinear resize."""
    height, width = size
    if pixels.shape[:2] == (height, width):
        return pixels
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
    channels = [Image.fromarray(pixels[..., k].astype(np.float32)) for k in range(3)]
    done = [np.asarray(channel.resize((width, height), Image.Resampling.BILINEAR)) for channel in channels]
    return np.round(np.stack(done, axis=2)).astype(pixels.dtype)


def to_batch(images: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """Pixels uint8 or uint16 (H, W, 3), all of one size and dtype, as float32 (N, 3, H, W) in [0, 1] on a device."""
    if images[0].dtype != np.uint8:
        return send(torch.cat([as_floats(image) for image in images]), device)
    return send(np.stack(images), device).permute(0, 3, 1, 2).float().div_(255)
