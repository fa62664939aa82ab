"""Making one example of a split: a reference patch with two distorted patches (2AFC) or one (JND).

Each example has its own generator, seeded by split and index, so that it does not depend on processes or other
examples.
"""

import zlib
from typing import NamedTuple

import numpy as np

from lpips_repro.datasets.mini import color, deblur, frameinterp, superres
from lpips_repro.datasets.mini.autoencoders import Autoencoder, reconstruct
from lpips_repro.datasets.mini.photographs import PATCH_SIZE, crop_margin, draw_patch
from lpips_repro.distortions import Step, distort, draw_steps, pairs_across_groups

SEVERITY_2AFC = (0.2, 0.8)  # range for traditional distortions: visible, with a recognizable patch
SEVERITY_JND = (0.0, 0.35)  # around the threshold of the simulated observers
BLEND_JND = (0.0, 0.5)  # share of an autoencoder's error that is kept: the whole error is always visible
CATCH_EVERY = 10  # every tenth JND pair is a catch pair of identical images, for which "same" is right


class Split(NamedTuple):
    """The key of a split: its kind (2afc or jnd), phase (train or val) and name."""

    kind: str
    phase: str
    name: str

    def __str__(self) -> str:
        return "-".join(self)


SPLITS = (
    *(Split("2afc", "train", name) for name in ("traditional", "cnn", "mix")),
    *(Split("2afc", "val", name) for name in ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")),
    *(Split("jnd", "val", name) for name in ("traditional", "cnn")),
)
NEED_AUTOENCODERS = ("cnn", "mix")
REAL_ALGORITHMS = {"superres": superres, "deblur": deblur}


def make_generator(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """The generator for a purpose (a split, its votes, the autoencoders) and an index, with a stream of its own."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(purpose.encode()), index)))


def make_example(split: Split, seed: int, index: int, autoencoders: list[Autoencoder]) -> list[np.ndarray]:
    """The images of an example.

    Args:
        split: its split.
        seed: seed of the whole dataset.
        index: its index in the split.
        autoencoders: at least two if the split needs them.

    Returns:
        ref, p0 and p1 (2AFC), or the reference and the distorted patch (JND), each uint8 (64, 64, 3).
    """
    rng = make_generator(seed, str(split), index)
    images = _jnd_pair(split, index, autoencoders, rng) if split.kind == "jnd" else _triplet(split, autoencoders, rng)
    return [_to_bytes(image) for image in images]


def is_catch(index: int) -> bool:
    """Whether the JND pair of this index is a catch pair."""
    return index % CATCH_EVERY == CATCH_EVERY - 1


def _triplet(split: Split, autoencoders: list[Autoencoder], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    if split.name == "frameinterp":
        return frameinterp.draw_example(rng)
    patch = draw_patch(split.phase, rng)
    if split.name == "color":
        patch = crop_margin(patch)
        return patch, *color.draw_outputs(patch, rng)
    if split.name in REAL_ALGORITHMS:
        return patch, *REAL_ALGORITHMS[split.name].draw_outputs(patch, rng)
    if split.name == "traditional":
        return patch, *(distort(patch, _draw_steps(rng, SEVERITY_2AFC), rng) for _ in range(2))
    first, second = rng.choice(len(autoencoders), 2, replace=False)
    candidates = [
        reconstruct(autoencoders[first], patch, rng),
        distort(patch, _draw_steps(rng, SEVERITY_2AFC), rng)
        if split.name == "mix"
        else reconstruct(autoencoders[second], patch, rng),
    ]
    return patch, *(candidates if rng.random() < 0.5 else candidates[::-1])


def _jnd_pair(
    split: Split, index: int, autoencoders: list[Autoencoder], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    patch = draw_patch(split.phase, rng)
    if is_catch(index):
        return patch, patch
    if split.name == "traditional":
        return patch, distort(patch, _draw_steps(rng, SEVERITY_JND), rng)
    network = autoencoders[rng.integers(len(autoencoders))]
    return patch, patch + rng.uniform(*BLEND_JND) * (reconstruct(network, patch, rng) - patch)


def _draw_steps(rng: np.random.Generator, severities: tuple[float, float]) -> list[Step]:
    return draw_steps(rng, *severities, pairs_across_groups())


def _to_bytes(image: np.ndarray) -> np.ndarray:
    if image.shape[0] != PATCH_SIZE:
        image = crop_margin(image)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
