"""TensorBoard's event files of a run.

They are in the run's folder, so that TensorBoard uses the folder's name.
"""

import contextlib
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

EARLIER = "tensorboard"  # the subfolder of event files in earlier versions of the code


def open_board(folder: Path, purge_step: int | None = None) -> SummaryWriter:
    """The writer of a run's events. Event files of earlier versions of the code are moved to the folder.

    Args:
        folder: the run's folder; purge_step: TensorBoard discards events from this step on, which the run repeats.
    """
    for file in (folder / EARLIER).glob("events.out.tfevents.*"):
        file.replace(folder / file.name)
    with contextlib.suppress(OSError):  # missing, or not empty
        (folder / EARLIER).rmdir()
    return SummaryWriter(str(folder), purge_step=purge_step)
