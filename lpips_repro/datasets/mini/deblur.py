"""Deblurring: a patch with camera blur and noise, restored by real algorithms.

Each algorithm takes the blurred image, float64 (H, W, 3) in [0, 1], an estimate of the kernel and a generator for its
settings. It returns the restored image.
"""

from collections.abc import Callable

import cv2
import numpy as np
from skimage import restoration

KERNEL_SIZE = 15
GAUSSIAN = (0.8, 2.0)  # standard deviation in pixels
DEFOCUS = (1.2, 3.0)  # radius of the disc
MOTION = (4.0, 10.0)  # length of the line
NOISE = (0.002, 0.015)  # standard deviation, in units of the range
KERNEL_ERROR = 0.1  # largest error of the estimated kernel's width, as the log of the ratio
PADDING = 16  # mirrored border that keeps ringing out of the patch, since the transforms wrap around


def draw_outputs(patch: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of two different algorithms for the same blurred image.

    Args:
        patch: float32 (96, 96, 3) in [0, 1].
        rng: chooses kernel, noise, algorithms and their settings.
    """
    make_kernel, (low, high) = KERNELS[rng.integers(len(KERNELS))]
    width, angle = rng.uniform(low, high), rng.uniform(0, np.pi)
    noise = rng.standard_normal(patch.shape) * rng.uniform(*NOISE)
    blurred = cv2.filter2D(patch.astype(np.float64), -1, make_kernel(width, angle), borderType=cv2.BORDER_REFLECT_101)
    blurred = (blurred + noise).clip(0, 1)
    kernel = make_kernel(width * np.exp(rng.uniform(-KERNEL_ERROR, KERNEL_ERROR)), angle)
    first, second = rng.choice(len(ALGORITHMS), 2, replace=False)
    return ALGORITHMS[first](blurred, kernel, rng), ALGORITHMS[second](blurred, kernel, rng)


def gaussian_kernel(sigma: float, angle: float) -> np.ndarray:
    """The kernel of the atmosphere or a lens: a Gaussian."""
    x, y = _kernel_grid()
    return _normalised(np.exp(-(x**2 + y**2) / (2 * sigma**2)))


def defocus_kernel(radius: float, angle: float) -> np.ndarray:
    """The kernel of a defocused lens: a disc with a soft edge."""
    x, y = _kernel_grid()
    return _normalised((radius + 0.5 - np.hypot(x, y)).clip(0, 1))


def motion_kernel(length: float, angle: float) -> np.ndarray:
    """The kernel of a moving camera: a line with soft ends."""
    x, y = _kernel_grid()
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return _normalised((length / 2 + 0.5 - np.abs(along)).clip(0, 1) * (1 - np.abs(across)).clip(0, 1))


KERNELS = ((gaussian_kernel, GAUSSIAN), (defocus_kernel, DEFOCUS), (motion_kernel, MOTION))


def wiener(blurred: np.ndarray, kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wiener filter with a Laplacian prior and a random balance between ringing and blur."""
    balance = np.exp(rng.uniform(np.log(0.003), np.log(0.5)))
    return _by_channel(blurred, lambda channel: restoration.wiener(channel, kernel, balance))


def unsupervised_wiener(blurred: np.ndarray, kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wiener filter that estimates its own balance (Orieux et al. 2010)."""
    settings = {"max_num_iter": 25, "min_num_iter": 15, "burnin": 5}
    return _by_channel(
        blurred, lambda channel: restoration.unsupervised_wiener(channel, kernel, user_params=settings, rng=rng)[0]
    )


def richardson_lucy(blurred: np.ndarray, kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Richardson-Lucy deconvolution, stopped after 5 to 30 iterations."""
    iterations = int(rng.integers(5, 31))
    return _by_channel(blurred, lambda channel: restoration.richardson_lucy(channel + 1e-3, kernel, iterations))


def van_cittert(blurred: np.ndarray, kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Landweber iteration, 5 to 30 times: add the blurred residual to the estimate."""
    estimate = blurred
    for _ in range(rng.integers(5, 31)):
        residual = blurred - cv2.filter2D(estimate, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        # The kernels are symmetric, so that the adjoint is the blur itself.
        estimate = estimate + cv2.filter2D(residual, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        estimate = estimate.clip(0, 1)
    return estimate


def wiener_non_local_means(blurred: np.ndarray, kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wiener filter, then non-local means to remove the amplified noise."""
    sharp = _by_channel(blurred, lambda channel: restoration.wiener(channel, kernel, 0.01)).clip(0, 1)
    return restoration.denoise_nl_means(
        sharp, patch_size=5, patch_distance=5, h=rng.uniform(0.03, 0.1), channel_axis=-1
    )


def wiener_total_variation(blurred: np.ndarray, kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wiener filter, then total variation to remove the amplified noise."""
    sharp = _by_channel(blurred, lambda channel: restoration.wiener(channel, kernel, 0.01)).clip(0, 1)
    return restoration.denoise_tv_chambolle(sharp, weight=rng.uniform(0.03, 0.12), channel_axis=-1)


def unsharp_mask(blurred: np.ndarray, kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Unsharp mask, which needs no kernel."""
    return blurred + rng.uniform(0.5, 2.5) * (blurred - cv2.GaussianBlur(blurred, (0, 0), 1.5))


ALGORITHMS = (
    wiener,
    unsupervised_wiener,
    richardson_lucy,
    van_cittert,
    wiener_non_local_means,
    wiener_total_variation,
    unsharp_mask,
)


def _kernel_grid() -> tuple[np.ndarray, np.ndarray]:
    reach = np.arange(KERNEL_SIZE) - KERNEL_SIZE // 2
    return np.meshgrid(reach, reach)


def _normalised(kernel: np.ndarray) -> np.ndarray:
    return kernel / kernel.sum()


def _by_channel(image: np.ndarray, restore: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    padded = np.pad(image, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)), mode="symmetric")
    restored = np.stack([restore(padded[..., channel]) for channel in range(3)], axis=-1)
    return restored[PADDING:-PADDING, PADDING:-PADDING]
