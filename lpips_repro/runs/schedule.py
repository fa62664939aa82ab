"""The learning rate over a run.

Both schedules hold the base rate for some steps and then decay it to (nearly) zero; they differ in how.
"""

from lpips_repro.config import Schedule


def learning_rate(schedule: Schedule, base: float, step: int, *, hold: float, steps: int, per_epoch: int) -> float:
    """The rate of a step.

    Args:
        schedule: "released": one epoch longer at the base rate, then down epoch by epoch, because the released code
            lowers the rate only after the first epoch of its decay. "paper": linear decay to zero, step by step (the
            paper says "linear decay" and gives no steps).
        base: the rate before the decay.
        step: counted from 0 over the whole run.
        hold: steps before the decay; steps: of the whole run; per_epoch: of an epoch.
    """
    if hold == steps:
        return base
    if schedule is Schedule.paper:
        return base * min(1.0, (1 - step / steps) / (1 - hold / steps))
    into_decay = step // per_epoch - hold / per_epoch
    return base * (1 - max(into_decay, 0) / ((steps - hold) / per_epoch))
