"""Checkpoints: everything that a run needs to resume exactly, written whole or not at all."""

import errno
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lpips_repro.errors import UserError
from lpips_repro.files import new_file, set_aside
from lpips_repro.quoting import one_line

log = logging.getLogger(__name__)

FORMAT = 3
# New names of entries that earlier versions of the code wrote under other names.
RENAMED = {"optimiser": "optimizer"}


class DamagedCheckpoint(UserError):
    """A file that is not a whole checkpoint."""


class OtherRun(UserError):
    """A folder has another run. The argument is the lines of the message: one line for each difference."""

    def __str__(self) -> str:
        return "\n".join(map(one_line, self.args[0]))


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint over an older one: tensors, numbers, strings, and dictionaries and lists of them.

    Raises:
        UserError: if it cannot be written, for example on a full disk. The older one is unchanged.
    """
    save_whole(path, {"format": FORMAT, **content})


def save_whole(path: Path, content: dict[str, Any]) -> None:
    """Write a file as `torch.save` does, but whole or not at all; errors as for `save_checkpoint`."""
    try:
        with new_file(path) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__  # torch turns some OSErrors into others
        remedy, reason = "free some space, or make the folder writable", getattr(cause, "strerror", None) or error
        raise UserError(f"{path}: not written ({reason}): an older file is unchanged: {remedy}") from error


def load_checkpoint(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The checkpoint of a run, on the CPU, or None if there is none.

    Args:
        path: its file.
        identity: values that must not have changed, by name: data digests, initial weights, device, settings.

    Raises:
        DamagedCheckpoint: if the file is not a whole checkpoint.
        UserError: if the system cannot read it, if it has another format, or if the identity has changed. The message
            shows all differences.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        known, version = content["identity"], content["format"]
    except Exception as error:  # the unpickler can raise nearly anything for another kind of file
        if _is_of_the_system(error):
            raise UserError(f"{path}: cannot be read now ({error}): the file is unchanged: try again") from error
        raise DamagedCheckpoint(f"{path}: not a readable checkpoint ({type(error).__name__})") from error
    if version != FORMAT:
        raise UserError(
            f"{path}: a checkpoint of format {version}, expected {FORMAT}: use the version of the code that"
            " wrote it, or set experiments=FOLDER for a new run"
        )
    check_identity(path.parent, known, identity)
    return {RENAMED.get(key, key): value for key, value in content.items()}


def _is_of_the_system(error: Exception) -> bool:
    """Whether the disk or the memory, not the content of the file, is the cause of an error."""
    # EINVAL: in a truncated file, torch can seek to a negative position.
    is_disk = isinstance(error, OSError) and error.errno != errno.EINVAL
    return is_disk or isinstance(error, MemoryError) or "allocate memory" in str(error)


def load_latest(
    folder: Path, identity: dict[str, Any], names: Sequence[str] = ("last.pt", "best.pt")
) -> dict[str, Any] | None:
    """The checkpoint that a run resumes from, or None if there is no complete one.

    That is the first of `names`. If it is damaged or missing, the next one, an earlier checkpoint of the same run,
    replaces it, and the run resumes exactly from there. Damaged files are set aside with a warning.

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
            log.warning("%s: missing or damaged: replaced by %s, of step %d", first, path.name, content["step"])
        return content
    if damaged:
        log.warning("%s: no complete checkpoint is left: the run starts again", folder)
    return None


def check_identity(folder: Path, known: dict[str, str], identity: dict[str, Any]) -> None:
    """Raise UserError, with all differences, if a run was started with another identity."""
    names = [name for name in {**known, **identity} if known.get(name) != identity.get(name)]
    if names:
        lines = [f"  {name}: was {known.get(name, 'absent')}, is {identity.get(name, 'absent')}" for name in names]
        remedy = "restore what it was started with, or set experiments=FOLDER for a new run"
        raise OtherRun([f"{folder}: not the run that was started there:", *lines, remedy])
