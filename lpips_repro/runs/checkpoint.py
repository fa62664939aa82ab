"""Checkpoints: all that a run needs to go on exactly where it stopped, written whole or not at all."""

import errno
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lpips_repro.errors import UserError
from lpips_repro.files import new_file, set_aside

log = logging.getLogger(__name__)

FORMAT = 3
# Entries of checkpoints under the names that earlier versions of the code gave them.
RENAMED = {"optimiser": "optimizer"}


class DamagedCheckpoint(UserError):
    """A file that is not a whole checkpoint."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint in place of an older one: tensors, numbers, strings, and dictionaries and lists of them.

    Raises:
        UserError: if it cannot be written, such as on a full disk; the older one is unchanged.
    """
    save_whole(path, {"format": FORMAT, **content})


def save_whole(path: Path, content: dict[str, Any]) -> None:
    """Write what `torch.save` does, whole or not at all; raises as `save_checkpoint`."""
    try:
        with new_file(path) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # the latter is what torch makes of the former
        raise UserError(f"{path}: not written ({error}): an older one there is as it was") from error


def load_checkpoint(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The checkpoint of an earlier start of the same run, on the CPU, or None if there is none.

    Args:
        path: its file.
        identity: what must not have changed since, by name: data digests, initial weights, device, settings.

    Raises:
        DamagedCheckpoint: if the file is not a whole checkpoint.
        UserError: if the system does not let it be read, it is of another format, or something has changed: every
            difference is shown.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        known, version = content["identity"], content["format"]
    except Exception as error:  # the unpickler can raise nearly anything on a file of another kind
        if _is_of_the_system(error):
            raise UserError(f"{path}: cannot be read now ({error}): the file is left as it is") from error
        raise DamagedCheckpoint(f"{path}: not a readable checkpoint ({type(error).__name__})") from error
    if version != FORMAT:
        raise UserError(
            f"{path}: a checkpoint of format {version}, expected {FORMAT}: go on with the version of the code that"
            " wrote it, or set experiments=FOLDER for a new run"
        )
    check_identity(path.parent, known, identity)
    return {RENAMED.get(key, key): value for key, value in content.items()}


def _is_of_the_system(error: Exception) -> bool:
    """Whether the disk or the memory, and not the content of the file, is the reason of an error."""
    # A cut file can make torch look for a place before its beginning: an invalid argument.
    is_disk = isinstance(error, OSError) and error.errno != errno.EINVAL
    return is_disk or isinstance(error, MemoryError) or "allocate memory" in str(error)


def load_latest(
    folder: Path, identity: dict[str, Any], names: Sequence[str] = ("last.pt", "best.pt")
) -> dict[str, Any] | None:
    """The checkpoint that a run goes on from, or None if there is no whole one.

    That is the first of `names`. If it is damaged or missing, the next one takes its place: an earlier checkpoint of
    the same run, from which the run goes on exactly. Damaged files are set aside with a warning.

    Raises:
        UserError: as `load_checkpoint`.
    """
    first, damaged = folder / names[0], False
    for path in (folder / name for name in names):
        try:
            content = load_checkpoint(path, identity)
        except DamagedCheckpoint as error:
            log.warning("%s: kept as %s", error, set_aside(path).name)
            damaged = True
            continue
        if content is None:
            continue
        if path != first:
            save_whole(first, content)
            log.warning("%s: missing or damaged: %s, of step %d, takes its place", first, path.name, content["step"])
        return content
    if damaged:
        log.warning("%s: no whole checkpoint is left: the run begins again", folder)
    return None


def check_identity(folder: Path, known: dict[str, str], identity: dict[str, Any]) -> None:
    """UserError that shows every difference between what a run was begun with and what there is now."""
    names = [name for name in {**known, **identity} if known.get(name) != identity.get(name)]
    if names:
        lines = [f"  {name}: was {known.get(name, 'absent')}, is {identity.get(name, 'absent')}" for name in names]
        raise UserError(
            f"{folder}: not the run that was begun there:\n" + "\n".join(lines) + "\n"
            "bring back what it was begun with, or set experiments=FOLDER for a new run"
        )
