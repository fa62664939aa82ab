"""Compression artifacts. The paper names JPEG without qualities; the range here is ours."""

from typing import cast

import cv2
import numpy as np

from lpips_repro.distortions.registry import register_distortion

LOWEST_QUALITY = 5  # at severity 1, on the scale of libjpeg; severity 0 is 100


@register_distortion("compression")
def jpeg(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Encode and decode as JPEG, quality 100 to 5 in equal ratios, without chroma subsampling."""
    quality = round(100 * (LOWEST_QUALITY / 100) ** severity)
    # Subsampling would be a loss that severity 0 has already.
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    pixels = np.rint(image[..., ::-1] * 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels), settings)
    decoded = cast(np.ndarray, cv2.imdecode(encoded, cv2.IMREAD_COLOR))  # None for what is no image
    return decoded[..., ::-1].astype(np.float32) / 255
