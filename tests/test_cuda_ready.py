"""Networks and classic metrics on a GPU, tested without a GPU: see `tests.fake_cuda`.

`tests/training/test_cuda_ready.py` and `tests/pretraining/test_cuda_ready.py` test steps. The tests at the end of this
file test `tests.fake_cuda` itself.
"""

import functools
from unittest.mock import patch

import numpy as np
import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import BACKBONES, Backbone, check_backbone, registry
from lpips_repro.devices import one_thread, send
from lpips_repro.metrics import METRICS
from tests.backbones.test_timm_models import NETS as TIMM
from tests.fake_cuda import CUDA, asynchronous_copies, fake_gpu, no_host_read
from tests.slow import slow_but

NETS = (*BACKBONES, *(f"timm/{net}" for net in TIMM))
LARGE = ("resnet50", "convnext_tiny", "vit_b_16")  # their kinds of layers are also in resnet18 and timm's networks
SETTINGS = {
    "l2": ({}, {"colorspace": "lab"}),
    "ssim": ({}, {"window": "gaussian"}, {"colorspace": "lab"}, {"truncate": True}),
}


def images(count=3):
    return [torch.rand(2, 3, 64, 64, device=CUDA) for _ in range(count)]


def without_weights(net, **settings):
    """A metric on no device, without random weights, since drawing them takes most of the time."""
    check_backbone(net)
    with torch.device("meta"), patch.object(registry, "load_strictly"):
        return LPIPS(net, "off_the_shelf", weights={}, **settings)


@pytest.mark.parametrize("net", NETS)
def test_a_network_gives_distances_on_the_gpu_without_waiting(net):
    metric = without_weights(net)
    with fake_gpu():
        metric.to_empty(device=CUDA)
        with asynchronous_copies():
            ref, p0, p1 = images()
            found = metric(ref, p0, normalize=True), *metric.triplet(ref, p0, p1, normalize=True)
    assert [(distance.device, distance.shape) for distance in found] == 3 * [(CUDA, (2,))]


def test_a_spatial_map_is_made_on_the_gpu_without_waiting():
    metric = without_weights("alex", spatial=True)
    with fake_gpu():
        metric.to_empty(device=CUDA)
        with asynchronous_copies():
            found = metric(*images(2))
    assert (found.device, found.shape) == (CUDA, (2, 1, 64, 64))


@pytest.mark.parametrize("name", METRICS)
def test_a_classic_metric_is_computed_on_the_gpu_without_waiting(name):
    for settings in SETTINGS.get(name, ({},)):
        with fake_gpu(), asynchronous_copies():
            found = METRICS[name].function(*images(2), **settings)
        assert found.device == CUDA


# Backward (which fake tensors on a GPU do not support) and autocast, on the CPU.


def learned(call, count=2):
    """The gradient of images in a call, forward and backward; a read by the host raises."""
    batch = [torch.rand(1, 3, 64, 64).requires_grad_() for _ in range(count)]
    with one_thread(), no_host_read():
        call(*batch).sum().backward()
    return batch[0].grad


@pytest.mark.parametrize("net", slow_but([net for net in NETS if net not in LARGE], NETS))
def test_forward_and_backward_of_a_network_do_not_wait(net):
    check_backbone(net)
    metric = LPIPS(net, "off_the_shelf", weights=Backbone(net).state_dict(), validate=False)
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            assert learned(metric).abs().sum() > 0


@pytest.mark.parametrize("name", METRICS)
def test_forward_and_backward_of_a_classic_metric_do_not_wait(name):
    for settings in SETTINGS.get(name, ({},)):
        if not settings.get("truncate"):  # which has no gradient
            metric = functools.partial(METRICS[name].function, validate=False, **settings)
            assert learned(metric).abs().sum() > 0


# Tests of `tests.fake_cuda`: a broken promise is found.

WAITS = {
    "copied": lambda x: torch.zeros(4).to(CUDA),
    "not pinned": lambda x: torch.zeros(4).to(CUDA, non_blocking=True),
    "made of numbers": lambda x: torch.tensor([1.0, 2.0], device=CUDA),
    "made like another": lambda x: x.new_tensor([1.0, 2.0]),
    "copied in place": lambda x: x.copy_(torch.zeros(4)),
    "assigned": lambda x: x.__setitem__(slice(None), torch.zeros(4)),
    "to the host": lambda x: x.cpu(),
    "index on the CPU": lambda x: x[torch.tensor([0, 1])],
    "index of numbers": lambda x: x[[0, 1]],
    "index that is a mask": lambda x: x.index_put_((x > 0,), x.sum()),
    "value on the CPU": lambda x: torch.where(x > 0, x, torch.tensor(2.0)),
}
READS = {
    "item": lambda x: x.sum().item(),
    "decision": lambda x: bool((x > 0).all()),
    "mask": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
    "selected": lambda x: x.masked_select(x > 0),
}


@pytest.mark.parametrize("copy", WAITS.values(), ids=WAITS)
def test_a_copy_that_waits_is_found(copy):
    with pytest.raises(AssertionError, match="outside the package"), fake_gpu(), asynchronous_copies():
        copy(torch.zeros(4, device=CUDA))


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_by_the_host_is_found(read):
    with pytest.raises(RuntimeError), fake_gpu():
        read(torch.zeros(4, device=CUDA))
    with pytest.raises(AssertionError, match="reads a tensor"), no_host_read():
        read(torch.zeros(4))


def test_an_assignment_by_a_mask_is_a_read():
    with pytest.raises(AssertionError, match="reads a tensor"), no_host_read():
        torch.zeros(4).index_put_((torch.ones(4) > 0,), torch.ones(4))


def test_tensors_of_two_devices_are_found():
    with pytest.raises(RuntimeError, match="device"), fake_gpu():
        torch.zeros(4, device=CUDA) + torch.zeros(4)


def test_operations_that_do_not_wait_are_accepted():
    with fake_gpu(), asynchronous_copies():
        x = send(np.zeros(4, np.float32), CUDA) + torch.arange(4, device=CUDA) * 2.0
        x[:2] = 1.0
        x[x.argsort()].clamp_(min=0).masked_fill_(x > 0, 3.0)
