"""The choice of a run's device."""

import logging

import torch

from lpips_repro.config import Device
from lpips_repro.devices import why_no_cuda
from lpips_repro.errors import UserError
from lpips_repro.precision import set_tf32

log = logging.getLogger(__name__)


def choose_device(wanted: Device) -> torch.device:
    """The torch device of a setting, in full precision. It logs the choice of `auto`.

    Raises:
        UserError: if CUDA is requested and cannot be used, with the reason.
    """
    if wanted is Device.cpu:
        return torch.device("cpu")
    reason = why_no_cuda()
    if wanted is Device.cuda and reason:
        raise UserError(f"device=cuda: {reason}: fix this, or use device=cpu")
    name = "cpu" if reason else "cuda"
    if name == "cuda":
        set_tf32(False)  # TF32's 10-bit mantissa would change scores
    if wanted is Device.auto:
        log.info("device=auto took %s%s", name, f" ({reason})" if reason else "")
    return torch.device(name)
