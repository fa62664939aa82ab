"""States that a metric takes, its own and those of the released package, and what it is like afterwards."""

import re
import warnings

import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.errors import UserError
from tests.metrics.test_frozen import Parent, alex
from tests.metrics.test_lpips import WEIGHTS, images, random_lin, released_metric


@pytest.mark.parametrize("value", [-0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["lin.2", "lin2.model.1.weight"])
@pytest.mark.parametrize("strict", [True, False])
def test_lin_weights_that_the_constructor_refuses_are_refused_at_load(value, key, strict):
    metric, other = alex(), LPIPS("alex", weights=gaussian_state("alex", 5), lin_weights=random_lin("alex"))
    state = dict(other.state_dict() if key.startswith("lin.") else other.official_state_dict())
    state = {k: v.clone() for k, v in state.items()}
    state[key].view(-1)[7] = value
    if key != "lin.2":
        state["lins.2.model.1.weight"] = state[key].clone()
    before = {k: v.clone() for k, v in metric.state_dict().items()}
    with pytest.raises(UserError, match=r"lin weights: lin.?2\S* holds|released weights: lins.2"):
        metric.load_state_dict(state, strict=strict)
    parent = Parent(metric)
    of_parent = {**parent.state_dict(), **{f"metric.{k}": v for k, v in state.items()}}
    if key != "lin.2":
        of_parent = {k: v for k, v in of_parent.items() if not k.startswith(("metric.backbone", "metric.lin."))}
    with pytest.raises(UserError, match=r"lin.?2\S* holds|lins.2"):
        parent.load_state_dict(of_parent, strict=strict)
    for k, v in metric.state_dict().items():
        assert torch.equal(v, before[k]), k


def test_a_backbone_that_is_not_finite_or_misshapen_is_refused_at_load():
    metric = alex()
    state = {key: value.clone() for key, value in metric.state_dict().items()}
    state["backbone.features.3.bias"][0] = float("nan")
    with pytest.raises(UserError, match=r"alex: backbone\.features\.3\.bias holds values that are not finite"):
        metric.load_state_dict(state)
    state["backbone.features.3.bias"] = torch.zeros(3)
    with pytest.raises(UserError, match=r"features\.3\.bias has shape \(3,\): expected \(192,\)"):
        metric.load_state_dict(state)


def test_missing_and_unexpected_keys_are_torchs_own_errors():
    metric = alex()
    state = metric.state_dict()
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"lin.4\""):
        metric.load_state_dict({key: value for key, value in state.items() if key != "lin.4"})
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\) in state_dict: \"lin.5\""):
        metric.load_state_dict({**state, "lin.5": torch.zeros(3)})
    assert metric.load_state_dict({"lin.0": state["lin.0"]}, strict=False).missing_keys


@pytest.mark.parametrize(
    ("net", "prefix"), [("alex", ""), ("alex", "module."), ("alex", "_orig_mod.module."), ("squeeze", ""), ("vgg", "")]
)
def test_a_parents_checkpoint_with_the_released_metric_in_it_loads(net, prefix):
    source = LPIPS(net, weights=gaussian_state(net, 3), lin_weights=random_lin(net))
    theirs = Parent(released_metric(source))
    state = {prefix + key: value for key, value in theirs.state_dict().items()}
    assert any("scaling_layer.shift" in key for key in state)
    ours = Parent(LPIPS(net, weights=WEIGHTS[net], lin_weights=random_lin(net)))
    if prefix:  # as saved from DistributedDataParallel or torch.compile: what torch itself does not take off
        ours.metric.load_state_dict({prefix + key: value for key, value in theirs.metric.state_dict().items()})
    else:
        ours.load_state_dict(state)
    x, y, _ = images(2, 3, 64, 64)
    assert torch.equal(ours.metric(x, y), source(x, y))


def test_released_lin_weights_alone_load_into_a_metric():
    metric, lin = alex(), random_lin("alex")
    lin = {key: value / 2 for key, value in lin.items()}
    missing = metric.load_state_dict(lin, strict=False).missing_keys
    assert missing and all(key.startswith("backbone.") for key in missing)
    x, y, _ = images(2, 3, 64, 64)
    torch.testing.assert_close(metric(x, y), alex()(x, y) / 2)


def test_constants_are_exact_after_any_conversion_and_load():
    metric, (x, y, _) = alex(), images(2, 3, 64, 64)
    wanted, state = metric(x, y), metric.state_dict()
    rounded = alex().bfloat16().float()
    rounded.load_state_dict(state)
    empty = alex().to("meta").to_empty(device="cpu")
    empty.load_state_dict(metric.official_state_dict())
    for other in (rounded, empty, alex().half().float().requires_grad_(False)):
        assert torch.equal(other.shift, metric.shift) and torch.equal(other.scale, metric.scale)
    assert torch.equal(rounded(x, y), wanted)
    assert torch.equal(empty(x, y), wanted)


@pytest.mark.filterwarnings("ignore:for .*no-op")
def test_tensors_that_are_assigned_bring_their_device_but_not_their_dtype():
    metric, (x, y, _) = alex(), images(2, 3, 64, 64)
    with torch.device("meta"):
        made = LPIPS("alex", weights=WEIGHTS["alex"], lin_weights=random_lin("alex"))
    made.load_state_dict({key: value.double() for key, value in metric.state_dict().items()}, assign=True)
    tensors = [*made.parameters(), *made.buffers()]
    assert {(tensor.dtype, tensor.device.type) for tensor in tensors} == {(torch.float32, "cpu")}
    assert torch.equal(made(x, y), metric(x, y))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_released_checkpoints_of_any_precision_load(dtype):
    state = {key: value.to(dtype) for key, value in alex().official_state_dict().items()}
    x, y, _ = images(2, 3, 64, 64)
    made = LPIPS.from_official("alex", "0.1", state, validate=False, persistent=False)
    assert (made.validate, made.persistent) == (False, False)
    torch.testing.assert_close(made(x, y), alex()(x, y), atol=1e-3, rtol=0.02)
    alex().load_state_dict(state)
    with pytest.raises(UserError, match=r"scaling_layer\.shift is"):
        LPIPS.from_official("alex", "0.1", {**state, "scaling_layer.shift": state["scaling_layer.shift"] + 0.01})


def test_a_checkpoint_trained_without_dropout_loads():
    state = alex().official_state_dict()
    renamed = {re.sub(r"^(lins?\.?\d)\.model\.1", r"\1.model.0", key): value for key, value in state.items()}
    assert "lin0.model.0.weight" in renamed and "lins.0.model.0.weight" in renamed
    x, y, _ = images(1, 3, 64, 64)
    assert torch.equal(LPIPS.from_official("alex", "0.1", renamed)(x, y), alex()(x, y))


def test_the_state_of_a_metric_that_was_trained_can_be_loaded_again():
    metric = alex().requires_grad_(True)
    with torch.no_grad():
        metric.lin[0][:5] = -3
    x, y, _ = images(1, 3, 64, 64)
    again = Parent(alex())
    again.load_state_dict(Parent(metric).state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.equal(again.metric(x, y), metric(x, y))
    metric.load_state_dict(metric.state_dict())
    assert metric.lin[0].min() == 0


def test_a_default_device_does_not_disturb_loading():
    state = alex().official_state_dict()
    metric = alex()
    with torch.device("meta"):
        metric.load_state_dict(state)
    x, y, _ = images(1, 3, 64, 64)
    assert metric(x, y).isfinite().all()


@pytest.mark.filterwarnings("ignore:for .*no-op")
def test_lin_weights_take_dtype_and_device_of_the_backbone():
    lin = {key: value.double() for key, value in random_lin("alex").items()}
    metric = LPIPS("alex", weights={k: v.double() for k, v in WEIGHTS["alex"].items()}, lin_weights=lin)
    tensors = [*metric.parameters(), *metric.buffers()]
    assert {(tensor.dtype, tensor.device.type) for tensor in tensors} == {(torch.float32, "cpu")}
    with torch.device("meta"):
        elsewhere = LPIPS("alex", weights=WEIGHTS["alex"], lin_weights=random_lin("alex"))
    assert {tensor.device.type for tensor in [*elsewhere.parameters(), *elsewhere.buffers()]} == {"meta"}


def test_a_state_dict_from_data_parallel_makes_a_metric():
    source = alex()
    x, y, _ = images(2, 3, 64, 64)
    state = {f"module.{key}": value for key, value in source.official_state_dict().items()}
    assert torch.equal(LPIPS.from_official("alex", "0.1", state)(x, y), source(x, y))
    weights = {f"module.{key}": value for key, value in WEIGHTS["alex"].items()}
    lin = {f"module.{key}": value for key, value in random_lin("alex").items()}
    assert torch.equal(LPIPS("alex", weights=weights, lin_weights=lin)(x, y), source(x, y))
