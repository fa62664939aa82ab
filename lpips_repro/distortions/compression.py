"""Compression artifacts. The paper gives no qualities of JPEG; the range here is ours."""

import cv2
import numpy as np

from lpips_repro.distortions.registry import Amount, register_distortion

QUALITY = Amount("quality", "of 100", 100, 5, geometric=True, whole=True)  # on the scale of libjpeg


@register_distortion("compression", QUALITY)
def jpeg(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Encode and decode as JPEG, quality 100 to 5 in equal ratios, without chroma subsampling.

    Severity 0 rounds to 8 bits and to the steps of quality 100: about 0.3 % of the range.
    """
    # With subsampling, severity 0 would already lose chroma.
    settings = [cv2.IMWRITE_JPEG_QUALITY, int(QUALITY.at(severity))]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    pixels = np.rint(image[..., ::-1] * 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels), settings)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was just encoded
    return decoded[..., ::-1].astype(np.float32) / 255
