"""Whatever the released metric survives in a user's program, ours survives with the same values."""

import copy
import io
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.metrics import fsimc, l2, psnr, ssim
from tests.metrics.test_lpips import WEIGHTS, images, random_lin, released_metric

# The same operations in another order.
CLOSE = {"atol": 1e-6, "rtol": 1e-5}
BATCH = torch.export.Dim("batch", max=2**20)  # torch 2.6 wants a largest one


def metric_of(net="alex", **settings) -> LPIPS:
    weights = WEIGHTS[net] if net in WEIGHTS else gaussian_state(net, 0)
    if settings.get("variant") == "off_the_shelf":
        return LPIPS(net, weights=weights, **settings)
    return LPIPS(net, weights=weights, lin_weights=random_lin(net), **settings)


@pytest.fixture(scope="module")
def metric():
    return metric_of()


@pytest.fixture(params=["alex", pytest.param("caffenet-split", marks=pytest.mark.slow), "timm/test_vit"])
def any_metric(request):
    return metric_of(request.param, variant="off_the_shelf")


def of_size(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    x, y, _ = images(count, 3, 64, 64, seed=count)
    return x, y


def test_it_is_exported_with_a_dynamic_batch(any_metric):
    exported = torch.export.export(any_metric, of_size(2), dynamic_shapes={"x": {0: BATCH}, "y": {0: BATCH}}).module()
    for count in (2, 5):
        torch.testing.assert_close(exported(*of_size(count)), any_metric(*of_size(count)), **CLOSE)


@pytest.mark.parametrize("settings", [{"normalize": True}, {"per_layer": True}])
def test_its_other_forms_are_exported_too(metric, settings):
    x, y = ((image + 1) / 2 if "normalize" in settings else image for image in of_size(2))
    shapes = {"x": {0: BATCH}, "y": {0: BATCH}, **dict.fromkeys(settings)}
    exported = torch.export.export(metric, (x, y), settings, dynamic_shapes=shapes).module()
    torch.testing.assert_close(exported(x, y, **settings), metric(x, y, **settings), **CLOSE)


def test_a_map_is_exported():
    metric = metric_of(spatial=True)
    exported = torch.export.export(metric, of_size(2), dynamic_shapes={"x": {0: BATCH}, "y": {0: BATCH}}).module()
    torch.testing.assert_close(exported(*of_size(3)), metric(*of_size(3)), **CLOSE)


def test_it_is_compiled_as_one_graph_with_gradients(any_metric):
    torch.compiler.reset()
    compiled = torch.compile(any_metric, fullgraph=True, backend="eager")  # what compilers are given, not their minutes
    for count in (2, 4):
        x, y = of_size(count)
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        ours, eager = compiled(a, y), any_metric(b, y)
        torch.testing.assert_close(ours, eager, **CLOSE)
        ours.sum().backward()
        eager.sum().backward()
        torch.testing.assert_close(a.grad, b.grad, **CLOSE)


@pytest.mark.slow
def test_it_is_compiled_by_inductor_with_gradients(metric):
    torch.compiler.reset()
    x, y = of_size(2)
    a = x.clone().requires_grad_()
    distance = torch.compile(metric, fullgraph=True)(a, y)
    torch.testing.assert_close(distance, metric(x, y), **CLOSE)
    distance.sum().backward()
    assert a.grad.isfinite().all()


def test_checks_of_shape_stay_under_compile(metric):
    torch.compiler.reset()
    compiled = torch.compile(metric, backend="eager")
    with pytest.raises(ValueError, match="same shape"):
        compiled(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 40))


def test_vmap_and_gradients_of_it(any_metric):
    x, y = of_size(3)

    def one(a, b):
        return any_metric(a[None], b[None])[0]

    torch.testing.assert_close(torch.func.vmap(one)(x, y), any_metric(x, y), **CLOSE)
    torch.testing.assert_close(torch.func.vmap(any_metric)(x[None], y[None])[0], any_metric(x, y), **CLOSE)
    wanted = torch.func.grad(lambda a: any_metric(a, y).sum())(x)
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(one))(x, y), wanted, **CLOSE)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_a_trace_takes_other_batches(any_metric, count):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        traced = torch.jit.trace(any_metric, of_size(count))
    if any_metric.backbone.name == "alex":  # others check sizes in layers of their own
        assert not [warning for warning in found if issubclass(warning.category, torch.jit.TracerWarning)]
    for other in (1, 2, 5):
        torch.testing.assert_close(traced(*of_size(other)), any_metric(*of_size(other)), **CLOSE)


def test_make_fx_and_fake_tensors(metric):
    x, y = of_size(2)
    torch.testing.assert_close(make_fx(metric)(x, y)(x, y), metric(x, y), **CLOSE)
    torch.testing.assert_close(torch.func.functionalize(metric)(x, y), metric(x, y), **CLOSE)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert metric(mode.from_tensor(x), mode.from_tensor(y)).shape == (2,)
    assert copy.deepcopy(metric).to("meta")(x.to("meta"), y.to("meta")).shape == (2,)


def replica(module: nn.Module) -> nn.Module:
    """What nn.DataParallel makes of a module for each GPU: parameters are tensors there, and no longer listed."""
    twin = module._replicate_for_data_parallel()
    for name, child in module._modules.items():
        setattr(twin, name, replica(child))
    for name, parameter in module._parameters.items():
        if parameter is None:
            twin._parameters[name] = None
        else:
            setattr(twin, name, parameter * 1)
    for name, buffer in module._buffers.items():
        setattr(twin, name, buffer.clone())
    return twin


@pytest.mark.parametrize("net", ["alex", "squeeze", "caffenet-split", "resnet18", "timm/test_vit"])
def test_replicas_of_data_parallel(net):
    metric = metric_of(net)
    twin = replica(metric)
    assert not list(twin.parameters())
    torch.testing.assert_close(twin(*of_size(2)), metric(*of_size(2)), **CLOSE)


@pytest.mark.parametrize(
    "net", ["alex", "caffenet", "caffenet-bn", "caffenet-split", "timm/test_vit", "timm/test_resnet"]
)
def test_it_comes_back_from_pickle_and_torch_save(net):
    metric = metric_of(net, variant="off_the_shelf")
    x, y = of_size(2)
    file = io.BytesIO()
    torch.save(metric, file)
    file.seek(0)
    evaluator = metric.optimized(compiled=False)
    for again in (pickle.loads(pickle.dumps(metric)), torch.load(file, weights_only=False), copy.deepcopy(metric)):
        assert torch.equal(again(x, y), metric(x, y))
    torch.testing.assert_close(pickle.loads(pickle.dumps(evaluator))(x, y), evaluator(x, y))


@pytest.mark.parametrize("persistent", [False, True])
def test_distributed_data_parallel(tmp_path, persistent):
    class Parent(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.metric = nn.Conv2d(3, 3, 1), metric_of(persistent=persistent)

        def forward(self, x, y):
            return self.metric(self.net(x).tanh(), y)

    x, y = of_size(2)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        parent = nn.parallel.DistributedDataParallel(Parent())
        for _ in range(2):
            parent(x, y).sum().backward()
        state = parent.state_dict()
        parent.load_state_dict(state)
    finally:
        torch.distributed.destroy_process_group()
    assert parent.module.net.weight.grad.abs().sum() > 0
    assert any(key.startswith("module.metric.") for key in state) == persistent


@pytest.mark.parametrize("classic", [l2, psnr, ssim, fsimc])
def test_classic_metrics_are_exported_traced_and_functionalized_too(classic):
    x, y = ((image + 1) / 2 for image in of_size(2))
    shapes = {"x": {0: BATCH}, "y": {0: BATCH}}

    class Module(nn.Module):
        def forward(self, x, y):
            return classic(x, y)

    exported = torch.export.export(Module(), (x, y), dynamic_shapes=shapes).module()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Module(), (x, y))
    a, b = ((image + 1) / 2 for image in of_size(7))
    for found in (exported(a, b), traced(a, b), torch.func.functionalize(classic)(a, b)):
        torch.testing.assert_close(found, classic(a, b), **CLOSE)


def test_one_reference_is_compared_to_many_as_in_the_released_package(metric):
    x, y = of_size(3)
    wanted = released_metric(metric)(x[:1], y).flatten()
    torch.testing.assert_close(metric(x[:1], y), wanted, **CLOSE)
    torch.testing.assert_close(metric(y, x[:1]), wanted, **CLOSE)
    d0, d1 = metric.triplet(x[:1], y, x)
    torch.testing.assert_close(d0, wanted, **CLOSE)
    assert d1[0].abs() <= 1e-6


def test_other_transforms_of_a_users_program(metric):
    x, y = of_size(2)
    wanted = metric(x, y)
    call = torch.func.functional_call(metric, dict(metric.named_parameters()), (x, y))
    torch.testing.assert_close(call, wanted, **CLOSE)
    torch.testing.assert_close(metric.share_memory()(x, y), wanted, **CLOSE)
    assert torch.func.jvp(lambda a: metric(a, y), (x,), (y,))[1].isfinite().all()
    learned = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(metric(learned, y).sum(), learned, create_graph=True)
    gradient.square().sum().backward()
    assert learned.grad.isfinite().all()
