"""What every classic metric takes, and what it refuses."""

import pytest
import torch

from tests.metrics.test_inputs import CLASSIC


@pytest.mark.parametrize("name", CLASSIC)
@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_values_below_0_and_above_1_are_refused(name, value):
    good = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    bad = good.clone()
    bad[0, 1, 2, 3] = value
    for pair, which in (((bad, good), "first"), ((good, bad), "second")):
        with pytest.raises(ValueError, match=rf"{which} image has values in .*: expected \[0, 1\]"):
            CLASSIC[name](*pair)


@pytest.mark.parametrize("name", CLASSIC)
def test_images_may_be_given_by_name_and_the_check_of_values_only_so(name):
    x, y = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(CLASSIC[name](x=x, y=y), CLASSIC[name](x, y))
    with pytest.raises((TypeError, ValueError)):
        CLASSIC[name](x, y, False)


@pytest.mark.parametrize("name", CLASSIC)
def test_images_of_two_dtypes_or_sizes_are_refused(name):
    x, y = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"images are torch\.float32 on cpu and torch\.float64 on cpu: expected one"):
        CLASSIC[name](x, y.double())
    with pytest.raises(ValueError, match="expected the same shape"):
        CLASSIC[name](x, y[..., :31])


def test_a_remedy_for_one_channel_is_given_for_batches_of_images_alone():
    with pytest.raises(ValueError, match=r"\(3, 1, 8\): expected \(N, 3, H, W\)$"):
        CLASSIC["fsimc"](torch.zeros(3, 1, 8), torch.zeros(3, 1, 8))
