"""TensorBoard's event files of a run.

They are in the run's folder itself, so that TensorBoard calls the run as the folder is called.
"""

import contextlib
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

EARLIER = "tensorboard"  # where earlier versions of the code had them, below the run's folder


def open_board(folder: Path, purge_step: int | None = None) -> SummaryWriter:
    """The writer of a run's events; what an earlier version of the code wrote becomes part of them.

    Args:
        folder: the run's; purge_step: TensorBoard forgets this step and later ones, which the run takes again.
    """
    for file in (folder / EARLIER).glob("events.out.tfevents.*"):
        file.replace(folder / file.name)
    with contextlib.suppress(OSError):  # not there, or the user has more in it
        (folder / EARLIER).rmdir()
    return SummaryWriter(str(folder), purge_step=purge_step)
