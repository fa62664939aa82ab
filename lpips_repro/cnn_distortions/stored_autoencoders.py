"""An autoencoder on disk: a folder with `card.json`, which describes it, and `weights.pth`, if it is not left out.

The card is written last, so a folder with a card is complete.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lpips_repro.backbones.registry import load_strictly
from lpips_repro.cnn_distortions.config import AutoencoderConfig
from lpips_repro.cnn_distortions.networks import Generator
from lpips_repro.errors import UserError
from lpips_repro.files import read_json, write_whole
from lpips_repro.runs.checkpoint import save_whole
from lpips_repro.weights.state_dicts import REMEDY, digest_state, read_state

FORMAT = 1
CARD, WEIGHTS = "card.json", "weights.pth"
COMMAND = "make cnn-distortions"


class DamagedAutoencoder(UserError):
    """A card or weights that differ from what was written."""


def write_autoencoder(folder: Path, card: dict[str, Any], state: dict[str, Tensor] | None) -> dict[str, Any]:
    """Write an autoencoder; return its card, with the format and the digest of the weights added.

    Args:
        folder: the folder of this autoencoder; made if it is missing.
        card: JSON values that describe it, with at least `config`, `left_out` and `identity`.
        state: state of the generator; None if it is left out: no weights are written.

    Raises:
        UserError: if the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if state is not None:
        save_whole(folder / WEIGHTS, state)
    card = {"format": FORMAT, **card, "weights": None if state is None else digest_state(state)}
    try:
        write_whole(folder / CARD, json.dumps(card, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{folder / CARD}: not written ({error.strerror}): free some space") from error
    return card


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card of an autoencoder, or None if it is not complete.

    Raises:
        DamagedAutoencoder: if the file is damaged.
        UserError: if the file has another format.
    """
    file = folder / CARD
    try:
        card = read_json(file)
        found, _ = card["format"], card["identity"]
        AutoencoderConfig.from_json(card["config"])
        if (card["left_out"] is None) != isinstance(card["weights"], str):
            raise ValueError("left out but with weights, or the reverse")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DamagedAutoencoder(f"{file}: damaged ({reason}): `{COMMAND}` trains it again") from None
    if found != FORMAT:
        raise UserError(f"{file}: has format {found}, expected {FORMAT}: read it with the version that wrote it")
    return card


def read_generator(folder: Path, card: dict[str, Any]) -> Generator:
    """The frozen network of an autoencoder that is not left out, on the CPU.

    Raises:
        DamagedAutoencoder: if the weights, whose file the message names, are missing or not those of the card.
    """
    file = folder / WEIGHTS
    try:
        state = read_state(file)
        if (found := digest_state(state)) != card["weights"]:
            wanted = card["weights"][:12]
            raise UserError(f"{file}: not the weights of its card: digest {found[:12]}, expected {wanted}")
        # The weights are loaded below, so no random ones are drawn.
        with torch.device("meta"):
            generator = Generator(AutoencoderConfig.from_json(card["config"], str(folder / CARD)))
        load_strictly(generator.to_empty(device="cpu"), state, str(file))
    except UserError as error:
        reason = str(error).removesuffix(f": {REMEDY}")
        raise DamagedAutoencoder(f"{reason}: restore the file, or `{COMMAND}` trains it again") from None
    return generator.eval().requires_grad_(False)
