"""2AFC scores by agreement of judges, and the fit of the binomial model."""

import numpy as np
import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols.twoafc import human_twoafc, twoafc_score
from lpips_repro.evaluation.protocols.twoafc_likelihood import decision_probability, negative_log_likelihood
from lpips_repro.report.figures import Judged, binomial_fit, unanimity
from tests.slow import slow_but

COUNT = 400


def judged(label="alex", group="lpips", judges=5, seed=0, splits=("cnn", "color")):
    """A method; judges choose at random with probabilities that depend on its distances."""
    rng = np.random.default_rng(seed)
    found = {}
    for split in splits:
        d0, d1 = rng.uniform(0, 1, (2, COUNT))
        judge = rng.binomial(judges, 1 / (1 + np.exp(-5 * (d0 - d1)))) / judges
        found[split] = (d0, d1, judge.astype(np.float32))
    return Judged(label, group, found)


def points(figure):
    return {line.get_gid(): line.get_xydata()[0] for line in figure.axes[0].lines if line.get_gid()}


def test_the_score_of_a_level_of_agreement_is_that_of_its_triplets():
    method = judged()
    figure = unanimity([method])
    d0, d1, judge = (np.concatenate(parts) for parts in zip(*method.splits.values(), strict=True))
    found = points(figure)
    assert len(found) == 3
    for level, share in enumerate((0.6, 0.8, 1.0)):
        chosen = np.isclose(np.maximum(judge, 1 - judge), share)
        score = twoafc_score(d0[chosen], d1[chosen], judge[chosen])
        assert found[f"alex/{level}"] == pytest.approx((100 * score, 0))
        lines = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "--"]
        assert lines[level] == pytest.approx(100 * human_twoafc(judge[chosen]))
    (legend,) = figure.legends
    assert "80 % of judges agree" in legend.get_texts()[1].get_text()


@pytest.mark.parametrize(
    ("count", "judges", "width"),
    slow_but(
        [(1, 5, 3.3), (12, 5, 3.3), (2, 40, 7.0), (2, 2, 3.3)],
        [(*case, width) for case in ((1, 5), (12, 5), (2, 40), (2, 2)) for width in (3.3, 7.0)],
    ),
)
def test_any_number_of_methods_and_judges_can_be_drawn(recwarn, width, count, judges):
    methods = [judged(f"method-{k}", judges=judges, seed=k, splits=("cnn",)) for k in range(count)]
    for draw in (unanimity, binomial_fit):
        draw(methods, "simulated", width=width).draw_without_rendering()
    assert [str(warning.message) for warning in recwarn] == []


def test_judgments_of_one_level_of_agreement_are_an_error():
    with pytest.raises(UserError, match="judges agree equally on all triplets"):
        unanimity([judged(judges=1)])


def test_the_fit_has_the_share_of_votes_in_each_bin_and_the_likelihood_loss():
    method = judged(splits=("cnn",))
    (panel,) = binomial_fit([method]).axes
    d0, d1, judge = method.splits["cnn"]
    probability = decision_probability(d0, d1, judge)
    place = np.minimum((10 * probability).astype(int), 9)
    wanted = [(probability[place == k].mean(), judge[place == k].mean()) for k in range(10) if (place == k).any()]
    curve = max(panel.lines, key=lambda line: len(line.get_xdata()))
    assert curve.get_xydata() == pytest.approx(np.array(wanted), abs=1e-6)
    loss = negative_log_likelihood(probability, judge).mean()
    assert panel.get_title(loc="left") == f"alex\n{loss:.3f} nats"
    # Judges chose by the rule of the model.
    assert np.abs(curve.get_xdata() - curve.get_ydata()).max() < 0.15


@pytest.mark.parametrize("draw", [unanimity, binomial_fit])
@pytest.mark.parametrize("methods", [[], [Judged("alex", "lpips", {})]])
def test_no_distances_are_an_error(draw, methods):
    with pytest.raises(UserError, match="no method has distances on 2AFC splits"):
        draw(methods)
