"""Schedules of the learning rate.

Both hold the base rate for some steps, and then decay it to (nearly) zero in different ways.
"""

from lpips_repro.config import Schedule


def learning_rate(schedule: Schedule, base: float, step: int, *, hold: float, steps: int, per_epoch: int) -> float:
    """The learning rate of a step.

    Args:
        schedule: "released": linear decay per epoch, one epoch later, since the released code lowers the rate only
            after the first epoch of the decay. "paper": linear decay to zero per step (the paper only says "linear
            decay").
        base: the rate before the decay.
        step: number of the step in the run, from 0.
        hold: steps before the decay; steps: steps of the run; per_epoch: steps of an epoch.
    """
    if hold == steps:
        return base
    if schedule is Schedule.paper:
        return base * min(1.0, (1 - step / steps) / (1 - hold / steps))
    into_decay = step // per_epoch - hold / per_epoch
    return base * (1 - max(into_decay, 0) / ((steps - hold) / per_epoch))
