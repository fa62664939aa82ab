"""The learning rate over a run.

Both schedules hold the base rate for some epochs and then decay it to (nearly) zero; they differ in how.
"""


def learning_rate(schedule: str, base: float, epochs: int, decay_epochs: int, step: int, steps_per_epoch: int) -> float:
    """The rate of a step.

    Args:
        schedule: "released": one epoch longer at the base rate, then down by base / decay_epochs an epoch, because
            the released code lowers the rate only after the first epoch of its decay. "paper": linear decay to zero,
            step by step (the paper says "linear decay" and gives no steps).
        base: the rate before the decay.
        epochs, decay_epochs: epochs at the base rate, and of the decay.
        step: counted from 0 over the whole run.
        steps_per_epoch: steps in an epoch.
    """
    if schedule == "paper":
        into_decay = (step - epochs * steps_per_epoch) / steps_per_epoch
    else:
        into_decay = step // steps_per_epoch - epochs
    return base * (1 - max(into_decay, 0) / decay_epochs) if decay_epochs else base
