"""How many images a CPU works on at a time."""

import pytest
import torch

from tests.metrics.test_embedded import metric_of


@pytest.mark.parametrize(("size", "least", "most"), [(4096, 1, 1), (512, 1, 4), (64, 5, 40)])
def test_the_larger_the_images_the_fewer_at_a_time_down_to_one(size, least, most):
    many = torch.empty(1).expand(40, 3, size, size)  # without the memory
    assert least <= metric_of().at_once(many, 2) <= most
