import functools

import pytest
import torch
from torch import nn

from lpips_repro.errors import UserError
from lpips_repro.metrics import METRICS, l2, register_metric


@pytest.mark.parametrize("made", [nn.L1Loss(), functools.partial(l2, colorspace="lab"), torch.dist])
def test_what_is_no_function_is_refused(made):
    before = dict(METRICS)
    with pytest.raises(UserError, match=r"register_metric: got a .*: expected a function: write one with `def`"):
        register_metric()(made)
    assert before == METRICS


def test_a_name_is_no_way_to_a_distance():
    with pytest.raises(UserError, match="to_distance='l1': expected a function; a metric has the name of its own"):
        register_metric("l1")
