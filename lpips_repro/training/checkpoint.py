"""Checkpoints: all that a run needs to go on exactly where it stopped, written whole or not at all."""

import os
from pathlib import Path
from typing import Any

import torch

from lpips_repro.errors import UserError

FORMAT = 3


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint in place of an older one: tensors, numbers, strings, and dictionaries and lists of them.

    Raises:
        UserError: where it cannot be written, on a full disk for one; the older one is as it was.
    """
    save_whole(path, {"format": FORMAT, **content})


def save_whole(path: Path, content: dict[str, Any]) -> None:
    """Write what `torch.save` does, whole or not at all; raises as `save_checkpoint`."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name on an empty file
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # the latter is what torch makes of the former
        partial.unlink(missing_ok=True)
        raise UserError(f"{path}: not written ({error}): an older one there is as it was") from error


def load_checkpoint(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The checkpoint of an earlier start of the same run, on the CPU, or None where there is none.

    Args:
        path: its file.
        identity: what must not have changed since, by name: data digests, initial weights, device, settings.

    Raises:
        UserError: where the file cannot be read, or something has changed: every difference is shown.
    """
    if not path.is_file():
        return None
    remedy = f"delete {path.parent} to train anew"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        known, version = content["identity"], content["format"]
    except Exception as error:  # the unpickler can raise nearly anything on a file of another kind
        raise UserError(f"{path}: not a readable checkpoint ({type(error).__name__}): {remedy}") from error
    if version != FORMAT:
        raise UserError(f"{path}: a checkpoint of format {version}, expected {FORMAT}: {remedy}")
    check_identity(path.parent, known, identity)
    return content


def check_identity(folder: Path, known: dict[str, str], identity: dict[str, Any]) -> None:
    """UserError that shows every difference between what a run was begun with and what is there now."""
    names = [name for name in {**known, **identity} if known.get(name) != identity.get(name)]
    if names:
        lines = [f"  {name}: was {known.get(name, 'absent')}, is {identity.get(name, 'absent')}" for name in names]
        raise UserError(
            f"{folder}: not the run that was begun there:\n" + "\n".join(lines) + "\n"
            "bring back what it was begun with, or delete the folder to train anew"
        )
