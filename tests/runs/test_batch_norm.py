import copy

import pytest
import torch
from torch import nn

from lpips_repro.devices import one_thread
from lpips_repro.distributed import Ranks, started_ranks
from lpips_repro.runs.batch_norm import normalize_over_ranks
from tests.processes import as_ranks

# Layer and shape of the whole batch of seven: shares of three and four, or of two, two and three.
LAYERS = {
    "maps": (nn.BatchNorm2d(3), (7, 3, 5, 4)),
    "vectors, no weights": (nn.BatchNorm1d(4, affine=False), (7, 4)),
    "sequences, own momentum": (nn.BatchNorm1d(3, momentum=0.3, eps=0.1), (7, 3, 6)),
    "cumulative mean": (nn.BatchNorm2d(2, momentum=None), (7, 2, 3, 3)),
    "no running mean": (nn.BatchNorm2d(2, track_running_stats=False), (7, 2, 3, 3)),
}


def work(folder, name, dtype):
    """Two training steps and an evaluation; each rank writes outputs and gradients of its share, and the layer."""
    with started_ranks() as ranks:
        template, shape = LAYERS[name]
        layer = copy.deepcopy(template).double()
        generator = torch.Generator().manual_seed(0)
        normalize_over_ranks(layer, ranks)
        found = []
        for offset in (0.0, 1000.0):  # at 1000, a sum of squares in float32 has no digit of the variance left
            whole = (torch.randn(shape, generator=generator, dtype=torch.float64) + offset).to(dtype)
            weights = torch.randn(shape, generator=generator, dtype=torch.float64)
            share = whole[ranks.share(len(whole))].clone().requires_grad_()
            outputs = layer(share)
            (outputs.double() * weights[ranks.share(len(whole))]).sum().backward()
            found += [outputs.detach(), share.grad]
        gradients = [parameter.grad for parameter in layer.parameters()]
        evaluated = layer.eval()(whole.double())
        torch.save((found, gradients, layer.state_dict(), evaluated.detach()), folder / f"{ranks.world}-{ranks.rank}")


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_normalize_as_one(tmp_path, name, processes):
    with one_thread():
        work(tmp_path, name, torch.float64)
    as_ranks(processes, tmp_path / "output", work, tmp_path, name, torch.float64)
    load = [torch.load(tmp_path / f"{processes}-{rank}", weights_only=True) for rank in range(processes)]
    expected = torch.load(tmp_path / "1-0", weights_only=True)
    close = {"rtol": 1e-9, "atol": 1e-9}  # variances of values near 1000 lose 6 of 16 digits
    for number, whole in enumerate(expected[0]):
        torch.testing.assert_close(torch.cat([found[number] for found, *_ in load]), whole, **close)
    for number, gradient in enumerate(expected[1]):  # of a sum over all ranks
        torch.testing.assert_close(sum(gradients[number] for _, gradients, *_ in load), gradient, **close)
    for _, _, state, evaluated in load:
        torch.testing.assert_close(state, expected[2], **close)
        if LAYERS[name][0].track_running_stats:
            torch.testing.assert_close(evaluated, expected[3], **close)


def test_bfloat16_inputs_give_bfloat16_outputs_and_are_summed_in_float32(tmp_path):
    with one_thread():
        work(tmp_path, "maps", torch.float64)
    as_ranks(2, tmp_path / "output", work, tmp_path, "maps", torch.bfloat16)
    (whole, *_), *_ = torch.load(tmp_path / "1-0", weights_only=True)
    found = [torch.load(tmp_path / f"2-{rank}", weights_only=True) for rank in range(2)]
    outputs = torch.cat([outputs for (outputs, *_), *_ in found])
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs.double(), whole, rtol=0.02, atol=0.02)  # bfloat16 has 3 digits


def test_one_process_keeps_the_layers_of_torch():
    layer = nn.BatchNorm2d(3)
    normalize_over_ranks(layer, Ranks())
    assert "forward" not in vars(layer)
