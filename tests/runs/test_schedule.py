import pytest

from lpips_repro.config import Schedule
from lpips_repro.runs.schedule import learning_rate

STEPS = 4  # an epoch


def rate(schedule, step, *, base, hold, steps):
    return learning_rate(Schedule[schedule], base, step, hold=hold, steps=steps, per_epoch=STEPS)


def rates(schedule, epochs=5, decay_epochs=5, base=1e-4):
    """The rate of every step of a run."""
    hold, steps = epochs * STEPS, (epochs + decay_epochs) * STEPS
    return [rate(schedule, step, base=base, hold=hold, steps=steps) for step in range(steps)]


def test_released_is_six_epochs_at_the_base_rate_then_down_by_a_fifth_an_epoch():
    expected = [1e-4] * 6 + [0.8e-4, 0.6e-4, 0.4e-4, 0.2e-4]
    assert rates("released") == pytest.approx([rate for rate in expected for _ in range(STEPS)], rel=1e-12)


def test_paper_is_five_epochs_at_the_base_rate_then_linear_to_zero_step_by_step():
    found = rates("paper")
    assert found[: 5 * STEPS] == [1e-4] * (5 * STEPS)
    decay = 5 * STEPS
    assert found[5 * STEPS :] == pytest.approx([1e-4 * (decay - step) / decay for step in range(decay)], rel=1e-12)
    assert rate("paper", 10 * STEPS, base=1e-4, hold=5 * STEPS, steps=10 * STEPS) == 0


@pytest.mark.parametrize("schedule", ["released", "paper"])
def test_without_decay_the_rate_stays(schedule):
    assert rates(schedule, epochs=3, decay_epochs=0) == [1e-4] * (3 * STEPS)


@pytest.mark.parametrize("schedule", ["released", "paper"])
def test_every_step_learns_and_no_rate_rises(schedule):
    found = rates(schedule, epochs=1, decay_epochs=3)
    assert min(found) > 0
    assert sorted(found, reverse=True) == found
