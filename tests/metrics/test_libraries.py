"""The table of other libraries' metrics says the truth about each: direction, best value, least size, batches."""

import importlib.util

import pytest
import torch

from lpips_repro.errors import UserError
from lpips_repro.metrics.libraries import (
    LIBRARY_METRICS,
    distance_of_library,
    is_library_metric,
    library_metric,
    load_library_metric,
)

CPU = torch.device("cpu")
NAMES = [f"{library}/{metric}" for library, metrics in LIBRARY_METRICS.items() for metric in metrics]


@pytest.fixture(params=NAMES)
def name(request):
    library = request.param.partition("/")[0]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    if library == "DISTS_pytorch":
        pytest.skip("needs torchvision's VGG")
    return request.param


def images(side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three smooth images, and the same with a little and with more noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, max(2, side // 8), max(2, side // 8), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    noise = torch.randn(smooth.shape, generator=generator)
    return smooth, (smooth + 0.03 * noise).clamp(0, 1), (smooth + 0.15 * noise).clamp(0, 1)


def test_identity_direction_and_batches(name):
    metric = load_library_metric(name, CPU)
    x, near, far = images(max(96, library_metric(name).least))
    own, small, large = (distance_of_library(name, metric(x, y)) for y in (x, near, far))
    if library_metric(name).best != float("inf"):
        torch.testing.assert_close(own, torch.zeros(3), atol=1e-4, rtol=0)
    assert (own < small).all() and (small < large).all()
    alone = torch.cat([metric(x[k : k + 1], far[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(metric(x, far), alone, atol=2e-5, rtol=1e-5)


def test_the_least_size_is_that_from_which_it_works(name):
    metric, least = load_library_metric(name, CPU), library_metric(name).least
    x, _, y = images(least)
    assert metric(x, y).isfinite().all()
    if least > 1:
        x, _, y = images(least - 1)
        with pytest.raises(ValueError, match=f"at least {least} pixels a side: these have {least - 1}"):
            metric(x, y)


def test_unknown_names_are_explained():
    assert is_library_metric("piq/mdsi") and not is_library_metric("mdsi")
    with pytest.raises(UserError, match="did you mean mdsi"):
        library_metric("piq/msdi")
    with pytest.raises(UserError, match="did you mean piq"):
        library_metric("pip/mdsi")
