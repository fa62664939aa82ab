"""Sorted lin weights by layer."""

import pytest
import torch

from lpips_repro.errors import UserError
from lpips_repro.report.figures import lin_weights
from lpips_repro.report.sparsity import PAPER
from lpips_repro.weights.official_lin import official_lin_state


def state_of(*layers):
    return {f"lin{k}.model.1.weight": torch.tensor(layer).view(1, -1, 1, 1) for k, layer in enumerate(layers)}


def test_the_figure_of_official_v0_0_weights_has_the_papers_shares():
    figure = lin_weights(official_lin_state("alex", "0.0", download=False), "alex", PAPER["alex"])
    titles = [panel.get_title(loc="left").split("\n") for panel in figure.axes]
    for layer, (title, share) in enumerate(zip(titles, PAPER["alex"], strict=True), 1):
        assert title == [f"layer {layer}", f"{share} % zero", f"paper {share} %"]


def test_weights_are_sorted_and_the_zeros_are_right_of_the_line():
    figure = lin_weights(state_of([0.0, 0.5, 0.0005, 2.0], [1.0, 3.0]))
    (stairs,), (line,) = figure.axes[0].patches, figure.axes[0].lines
    assert stairs.get_data().values.tolist() == pytest.approx([2.0, 0.5, 0.0005, 0.0])
    assert line.get_xdata()[0] == 2
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["layer 1\n50.0 % zero", "layer 2\n0.0 % zero"]


@pytest.mark.parametrize("width", [3.3, 7.0])
@pytest.mark.parametrize("layers", [1, 7])
def test_any_number_of_layers_and_zero_or_negative_weights_can_be_drawn(recwarn, width, layers):
    figure = lin_weights(state_of(*[[0.0, 0.0]] * (layers - 1), [-1.0, 0.5]), width=width)
    assert len(figure.axes) == layers
    figure.draw_without_rendering()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_state_without_lin_weights_is_an_error():
    with pytest.raises(UserError, match="no lin weights found"):
        lin_weights({"features.0.weight": torch.zeros(2)})
