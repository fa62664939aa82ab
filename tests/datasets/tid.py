"""A small set in TID2013's layout, for tests: its judgments are made up."""

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

REFERENCES = ("astronaut", "coffee", "chelsea")
TYPES, LEVELS = 2, 3
WIDTH, HEIGHT = 64, 48
# The two images whose scores are swapped, of neighboring amplitudes: one pair of the 153 is in the other order.
SWAPPED = ("i01_01_2", "i02_01_2")


def amplitude(reference: int, kind: int, level: int) -> int:
    """How far every value of a distorted image is from its reference: another one for each of the 18 images."""
    return 1 + 6 * (level - 1) + 3 * (kind - 1) + (reference - 1)


def make_tid2013(root: Path) -> dict[str, float]:
    """Three references under two kinds of noise at three levels; returns the scores by name.

    Each value of a distorted image is `amplitude` above or below that of its reference, so its mean squared error is
    the square of that; the score falls with it, but for the two that are swapped. Names are in mixed case, as in
    TID2013.
    """
    rng = np.random.default_rng(0)
    references, distorted = root / "reference_images", root / "Distorted_Images"
    references.mkdir(parents=True)
    distorted.mkdir()
    scores = {}
    for number, source in enumerate(REFERENCES, 1):
        image = Image.fromarray(getattr(data, source)()).resize((WIDTH, HEIGHT))
        values = np.asarray(image).clip(30, 225).astype(np.int16)  # so that nothing is cut off
        Image.fromarray(values.astype(np.uint8)).save(
            references / (f"I{number:02d}.BMP", f"i{number:02d}.bmp")[number % 2]
        )
        for kind in range(1, TYPES + 1):
            signs = rng.choice((-1, 1), values.shape) if kind == 1 else _checkerboard()
            for level in range(1, LEVELS + 1):
                far = amplitude(number, kind, level)
                name = f"i{number:02d}_{kind:02d}_{level}"
                file = f"{name}.bmp" if level < 3 else f"{name}.bmp".upper()
                Image.fromarray((values + far * signs).astype(np.uint8)).save(distorted / file)
                scores[name] = 7 - far / 4
    first, second = SWAPPED
    scores[first], scores[second] = scores[second], scores[first]
    lines = [f"{score:.5f} {name.capitalize()}.bmp" for name, score in scores.items()]
    (root / "MOS_with_names.txt").write_text("\r\n".join(lines) + "\r\n")
    return scores


def _checkerboard() -> np.ndarray:
    rows, columns = np.indices((HEIGHT, WIDTH))
    return np.where((rows + columns) % 2, 1, -1)[..., None]
