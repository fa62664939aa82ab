"""The metric on a GPU: graph capture and the precision of float32, as far as they can be seen without one."""

import pytest
import torch
from torch import nn

from lpips_repro import precision
from lpips_repro.metrics.tracing import is_recorded
from tests.fake_cuda import CUDA, fake_gpu
from tests.metrics.test_embedded import CLOSE, metric_of, of_size


def test_no_value_is_read_while_a_cuda_graph_is_captured(monkeypatch):
    class OnAGPU(torch.Tensor):
        is_cuda = True

    tensor = torch.zeros(1).as_subclass(OnAGPU)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    assert not is_recorded(tensor)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert is_recorded(tensor)
    assert not is_recorded(torch.zeros(1))


@pytest.mark.cuda
def test_a_cuda_graph_gives_the_same_values():
    metric = metric_of().cuda()
    x, y = (image.cuda() for image in of_size(2))
    wanted = metric(x, y)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        metric(x, y)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = metric(x, y)
    graph.replay()
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("made", [lambda metric: metric, lambda metric: metric.optimized(compiled=False)])
def test_on_a_gpu_float32_is_computed_in_full_precision(made):
    torch.backends.cudnn.allow_tf32 = True  # PyTorch's default
    seen, metric = [], made(metric_of())
    with fake_gpu():
        metric.to(CUDA)
        for module in metric.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
        x, y = (torch.empty(2, 3, 64, 64, device=CUDA) for _ in range(2))
        metric(x, y)
        assert seen == [False] * 5
        with precision.tf32(True):
            metric(x, y)
        assert seen == [False] * 5 + [True] * 5
    assert torch.backends.cudnn.allow_tf32
