"""Frame interpolation: the frame between two others, estimated by real algorithms.

In half of the examples the two frames are the views of scikit-image's stereo pair, and the middle view is rendered from
both with the measured disparity, which the algorithms do not get. In the others a simulated camera moves over a
photograph while a piece of another one crosses its view. Each algorithm takes the two frames, float32 (96, 96, 3) in
[0, 1].
"""

from functools import cache
from typing import Any

import cv2
import numpy as np
from skimage.registration import optical_flow_ilk, phase_cross_correlation

from lpips_repro.datasets.mini.photographs import (
    LEAST_CONTRAST,
    PADDED_SIZE,
    SKIMAGE,
    crop_margin,
    draw_crop,
    draw_patch,
    load,
)

STEREO_SCALE = 3.0  # at full size the disparity of up to 60 pixels is as large as a patch
MOTION = 5.0  # most pixels that the camera moves between frames, per axis
OBJECT_MOTION = 7.0  # the same for the object
OBJECT_RADIUS = (10.0, 24.0)
TURN, ZOOM = np.deg2rad(3), 0.05
BLOCK, BLOCK_REACH = 8, (10, 6)  # side of a block, and its search range in x and y
SMALL_MOTION = 1e-3  # cost per pixel of motion, so that equal matches resolve to the smallest motion
NO_FLOW: Any = None  # initial flow: OpenCV's types do not allow None


def draw_example(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The true middle frame and the estimates of two different algorithms, float32 (96, 96, 3) each."""
    before, middle, after = _stereo_frames(rng) if rng.random() < 0.5 else _moving_frames(rng)
    first, second = rng.choice(len(ALGORITHMS), 2, replace=False)
    return middle, ALGORITHMS[first](before, after), ALGORITHMS[second](before, after)


def repeat_frame(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The frame before."""
    return before


def blend(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The mean of the two frames."""
    return (before + after) / 2


def global_shift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Compensation of one shift of the whole frame, estimated by phase correlation."""
    shift = phase_cross_correlation(_gray(before), _gray(after), upsample_factor=10)[0]
    return _compensate(before, after, np.broadcast_to(-shift[::-1], (*before.shape[:2], 2)))


def block_matching(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Symmetric block matching: each 8x8 block takes the opposite shifts for which both frames agree best."""
    return _match_blocks(before, after, overlap=False)


def overlapped_block_matching(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Block matching with overlapping blocks: the motion is interpolated between the centers of blocks."""
    return _match_blocks(before, after, overlap=True)


def farneback(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Optical flow by polynomial expansion (Farneback 2003)."""
    flow = cv2.calcOpticalFlowFarneback(_gray8(before), _gray8(after), NO_FLOW, 0.5, 3, 15, 3, 5, 1.2, 0)
    return _compensate(before, after, flow)


def inverse_search(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Optical flow by dense inverse search (Kroeger et al. 2016)."""
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return _compensate(before, after, finder.calc(_gray8(before), _gray8(after), NO_FLOW))


def iterative_lucas_kanade(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Optical flow by iterated Lucas-Kanade (Le Besnerais and Champagnat 2005)."""
    rows, columns = optical_flow_ilk(_gray(before), _gray(after), radius=6, num_warp=5)
    return _compensate(before, after, np.dstack([columns, rows]))


ALGORITHMS = (
    repeat_frame,
    blend,
    global_shift,
    block_matching,
    overlapped_block_matching,
    farneback,
    inverse_search,
    iterative_lucas_kanade,
)


def _gray(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _gray8(frame: np.ndarray) -> np.ndarray:
    return np.rint(_gray(frame) * 255).astype(np.uint8)


def _sample(image: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(image.shape[:2])
    x, y = (columns + dx).astype(np.float32), (rows + dy).astype(np.float32)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _compensate(before: np.ndarray, after: np.ndarray, flow: np.ndarray) -> np.ndarray:
    dx, dy = flow[..., 0] / 2, flow[..., 1] / 2
    return (_sample(before, -dx, -dy) + _sample(after, dx, dy)) / 2


def _match_blocks(before: np.ndarray, after: np.ndarray, overlap: bool) -> np.ndarray:
    size = before.shape[0]
    reach_x, reach_y = BLOCK_REACH
    surround = ((reach_y, reach_y), (reach_x, reach_x))
    before_padded, after_padded = (np.pad(_gray(frame), surround, mode="reflect") for frame in (before, after))
    least = np.full((size // BLOCK, size // BLOCK), np.inf)
    best = np.zeros((*least.shape, 2), np.float32)
    for dy in range(-reach_y, reach_y + 1):
        for dx in range(-reach_x, reach_x + 1):
            top, left = reach_y - dy, reach_x - dx
            moved_before = before_padded[top : top + size, left : left + size]
            top, left = reach_y + dy, reach_x + dx
            moved_after = after_padded[top : top + size, left : left + size]
            error = cv2.resize(cv2.absdiff(moved_before, moved_after), least.shape, interpolation=cv2.INTER_AREA)
            error = error + SMALL_MOTION * np.hypot(dx, dy)
            better = error < least
            least[better] = error[better]
            best[better] = 2 * dx, 2 * dy
    flow = cv2.resize(best, (size, size), interpolation=cv2.INTER_LINEAR if overlap else cv2.INTER_NEAREST)
    return _compensate(before, after, flow)


@cache
def _stereo_views() -> np.ndarray:
    """Left, middle and right view, nine channels."""
    left, right = load(SKIMAGE / "motorcycle_left.png"), load(SKIMAGE / "motorcycle_right.png")
    with np.load(SKIMAGE / "motorcycle_disp.npz") as stored:
        disparity = stored["arr_0"]
    return np.dstack([left, _middle_view(left, right, disparity), right])


def _middle_view(left: np.ndarray, right: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    """The mean of both views shifted by half of the left view's disparity. Holes come from the right view."""
    height, width = disparity.shape
    known = np.isfinite(disparity)
    rows, columns = np.nonzero(known)
    values = disparity[known].astype(np.float32)
    # In order of disparity, so that near pixels cover far ones.
    order = np.argsort(values, kind="stable")
    targets = np.rint(columns - values / 2).astype(int)[order]
    inside = targets >= 0
    middle = np.full((height, width), np.nan, np.float32)
    middle[rows[order][inside], targets[inside]] = values[order][inside]
    hole = ~np.isfinite(middle)
    # A hole shows the background: the smaller disparity of the two ends of its row.
    middle = cv2.medianBlur(np.fmin(_carry(middle), _carry(middle[:, ::-1])[:, ::-1]), 5)
    zero = np.zeros_like(middle)
    from_left, from_right = _sample(left, middle / 2, zero), _sample(right, -middle / 2, zero)
    hole = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8))[..., None] > 0
    return np.where(hole, from_right, (from_left + from_right) / 2)


def _carry(rows: np.ndarray) -> np.ndarray:
    """Fill each NaN with the last number to its left in its row."""
    source = np.where(np.isfinite(rows), np.arange(rows.shape[1]), 0)
    np.maximum.accumulate(source, axis=1, out=source)
    return np.take_along_axis(rows, source, axis=1)


def _stereo_frames(rng: np.random.Generator) -> list[np.ndarray]:
    while True:
        crop = draw_crop(_stereo_views(), STEREO_SCALE, rng)
        if crop_margin(crop[..., 3:6]).mean(axis=2).std() >= LEAST_CONTRAST:
            return [np.ascontiguousarray(crop[..., k : k + 3]) for k in (0, 3, 6)]


def _moving_frames(rng: np.random.Generator) -> list[np.ndarray]:
    ground, thing = draw_patch("val", rng), draw_patch("val", rng)
    size = PADDED_SIZE
    center = rng.uniform(size * 0.3, size * 0.7, 2)
    radius = rng.uniform(*OBJECT_RADIUS)
    camera, crossing = rng.uniform(-MOTION, MOTION, 2), rng.uniform(-OBJECT_MOTION, OBJECT_MOTION, 2)
    turn, zoom = rng.uniform(-TURN, TURN), rng.uniform(-ZOOM, ZOOM)
    y, x = np.indices((size, size))
    frames = []
    for time in (-1, 0, 1):
        matrix = cv2.getRotationMatrix2D((size / 2, size / 2), np.rad2deg(turn * time), np.exp(zoom * time))
        matrix[:, 2] = matrix[:, 2] + camera * time
        frame = cv2.warpAffine(ground, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        dx, dy = crossing * time
        mask = (radius + 0.5 - np.hypot(x - center[0] - dx, y - center[1] - dy)).clip(0, 1)[..., None]
        frames.append((frame + mask * (_sample(thing, -dx, -dy) - frame)).clip(0, 1).astype(np.float32))
    return frames
