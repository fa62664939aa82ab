"""The trained autoencoders of a folder, as a family of distortions."""

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lpips_repro.cnn_distortions.corruptions import corrupt
from lpips_repro.cnn_distortions.networks import Generator
from lpips_repro.cnn_distortions.stored_autoencoders import CARD, COMMAND, read_card, read_generator
from lpips_repro.devices import one_thread
from lpips_repro.distortions.family import Application
from lpips_repro.errors import UserError, expected

FAMILY = "cnn"
MOST_LOADED = 32  # networks in the memory of each process


class CnnFamily:
    """The autoencoders of a folder that are not left out.

    Args:
        folder: the folder that `make cnn-distortions` wrote.

    Attributes:
        names: names of the autoencoders, sorted; cards: their cards by name.
        digest: SHA-256 of names and weights.

    Raises:
        UserError: if the folder has no usable autoencoder, with the command that makes them, or if a card is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        cards = {file.parent.name: read_card(file.parent) for file in sorted(folder.glob(f"*/{CARD}"))}
        self.cards: dict[str, dict[str, Any]] = {
            name: card for name, card in cards.items() if card is not None and card["left_out"] is None
        }
        if not self.cards:
            left_out = f" ({len(cards)} are left out)" if cards else ""
            raise UserError(f"{folder}: no autoencoders that distort{left_out}: `{COMMAND} COUNT=96 IMAGES=FOLDER`")
        self.names = list(self.cards)
        text = "".join(f"{name} {card['weights']}\n" for name, card in self.cards.items())
        self.digest = hashlib.sha256(text.encode()).hexdigest()
        self._loaded: OrderedDict[str, Generator] = OrderedDict()

    def draw(self, rng: np.random.Generator, low: float, high: float) -> list[Application]:
        """Draw one autoencoder; all have the same probability.

        Args:
            rng: the source of randomness.
            low, high: ignored, since autoencoders have no severity.
        """
        name = self.names[int(rng.integers(len(self.names)))]
        return [Application(FAMILY, name, {"weights": self.cards[name]["weights"]}, int(rng.integers(2**63)))]

    def apply(self, image: np.ndarray, application: Application) -> np.ndarray:
        """The output of an autoencoder for an image, which is corrupted as in its training.

        It runs on one CPU thread, so that the same arguments give the same bits in every process.

        Args:
            image: float32 RGB (H, W, 3) in [0, 1], of any size.
            application: from `draw`.

        Returns:
            float32 (H, W, 3) in [0, 1].

        Raises:
            UserError: if the image has another type, shape or range, if there is no such autoencoder, or if its weights
                are not those of the application.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.float32:
            raise UserError(f"image is {image.dtype} {image.shape}: expected float32 (H, W, 3) in [0, 1]")
        if not (image.min() >= 0 and image.max() <= 1):
            raise UserError(f"image has values in [{image.min():.3g}, {image.max():.3g}]: expected [0, 1]")
        generator = self._generator(application)
        config = generator.config
        rng = np.random.default_rng(application.seed)
        given = corrupt(image, config.corruption, config.amount, rng).transpose(2, 0, 1)[None]
        with torch.inference_mode(), one_thread():
            made = generator(torch.from_numpy(np.ascontiguousarray(given)))
        return np.ascontiguousarray(made[0].permute(1, 2, 0).numpy())

    def _generator(self, application: Application) -> Generator:
        """The network of an application, which is loaded if it is not in memory."""
        name, weights = application.name, application.parameters.get("weights")
        if name not in self.cards:
            raise UserError(f"{self.folder}: no autoencoder {name!r}: {expected(name, self.names)}")
        if weights != (known := self.cards[name]["weights"]):
            raise UserError(
                f"{self.folder / name}: weights {known[:12]}, expected {str(weights)[:12]}: restore the autoencoders"
                " that the example was made with"
            )
        if name not in self._loaded:
            self._loaded[name] = read_generator(self.folder / name, self.cards[name])
            if len(self._loaded) > MOST_LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(name)
        return self._loaded[name]
