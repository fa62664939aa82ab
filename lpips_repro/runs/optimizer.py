"""The optimizers of `configs/optimizer/`."""

import torch
from torch import nn

from lpips_repro.config import Optimizer, OptimizerConfig

ADAM = OptimizerConfig(Optimizer.adam, momentum=None, weight_decay=0.0)
# Betas of the released trainer.
MOMENTUM, BETA2 = 0.5, 0.999


def make_optimizer(
    module: nn.Module, rate: float, cfg: OptimizerConfig = ADAM, momentum: float = MOMENTUM
) -> torch.optim.Optimizer:
    """An optimizer of all parameters that require a gradient.

    Args:
        module: the module with the parameters; rate: the initial learning rate.
        cfg: the optimizer's settings.
        momentum: beta1 of Adam and AdamW, momentum of SGD, if the settings have none.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    momentum = momentum if cfg.momentum is None else cfg.momentum
    # fused=True takes a quarter of the time of separate operations.
    decay = cfg.weight_decay
    if cfg.name is Optimizer.sgd:
        return torch.optim.SGD(parameters, lr=rate, momentum=momentum, weight_decay=decay, fused=True)
    kind = torch.optim.AdamW if cfg.name is Optimizer.adamw else torch.optim.Adam
    return kind(parameters, lr=rate, betas=(momentum, BETA2), weight_decay=decay, fused=True)
