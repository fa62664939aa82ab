"""Images to learn from that never run out: dead leaves, discs of all sizes and colors that cover each other."""

import numpy as np


def dead_leaves(count: int, size: int, seed: int) -> np.ndarray:
    """Images, uint8 (count, size, size, 3), drawn independently of each other."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    images = np.empty((count, size, size, 3), np.uint8)
    for image in images:
        image[:] = rng.integers(256, size=3)
        for _ in range(60):
            radius = min(2 * (1 + rng.pareto(1.5)), size / 4)
            top, left = rng.uniform(0, size, 2)
            image[(y - top) ** 2 + (x - left) ** 2 < radius**2] = rng.integers(256, size=3)
        image[:] = np.clip(image + rng.normal(0, 8, image.shape), 0, 255)
    return images
