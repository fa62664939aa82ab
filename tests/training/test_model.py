import lpips as released
import pytest
import torch
from torch import Tensor, nn

from lpips_repro.backbones import gaussian_state
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training.batch import FeatureBatch, ImageBatch
from lpips_repro.training.dropout import Dropout
from lpips_repro.training.model import RankingModel
from lpips_repro.training.step import update
from tests.released import empty_released_metric

NETS = ("alex", "vgg", "squeeze")
VARIANTS = ("lin", "tune", "scratch")
WEIGHTS = {net: gaussian_state(net, seed=1) for net in NETS}


def make_model(
    net: str = "alex", variant: str = "lin", version: str = "0.1", seed: int = 0, **settings
) -> RankingModel:
    torch.manual_seed(seed)
    return RankingModel(net, variant, version, WEIGHTS[net], **settings)


def triplets(count: int = 3, seed: int = 0) -> ImageBatch:
    generator = torch.Generator().manual_seed(seed)
    ref, noise0, noise1 = (torch.rand(count, 3, 64, 64, generator=generator) * 2 - 1 for _ in range(3))
    return ImageBatch(ref, ref.lerp(noise0, 0.3), ref.lerp(noise1, 0.6))


def draws(seed: int = 0) -> Dropout:
    return Dropout(torch.Generator().manual_seed(seed))


def train(model: RankingModel, steps: int, rate: float = 1e-3, dropout: Dropout | None = None) -> None:
    optimizer = make_optimizer(model, rate)
    for step in range(steps):
        d0, d1 = model.distances(triplets(seed=step), dropout)
        update(model, optimizer, model.ranking(d0, d1, torch.tensor([0.0, 0.5, 1.0])))


def changed(model: RankingModel, before: dict[str, Tensor]) -> set[str]:
    return {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_runs_the_reference_through_the_backbone_once(variant):
    model, seen = make_model("alex", variant), []
    model.metric.backbone.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    train(model, steps=1)
    assert seen == [3 * 3]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_gradients_flow_exactly_where_something_learns(net, variant):
    model, graphs = make_model(net, variant), []
    for module in model.metric.backbone.modules():
        module.register_forward_hook(
            lambda module, inputs, output: graphs.append(
                any(value.requires_grad for value in (output if isinstance(output, list) else [output]))
            )
        )
    d0, d1 = model.distances(triplets())
    model.ranking(d0, d1, torch.tensor([0.0, 0.5, 1.0])).backward()
    backbone = [parameter.grad is not None for parameter in model.metric.backbone.parameters()]
    assert all(graphs) if variant != "lin" else not any(graphs)
    assert all(backbone) if variant != "lin" else not any(backbone)
    assert all(parameter.grad.abs().max() > 0 for parameter in (model.lin, *model.ranking.parameters()))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_changes_all_that_learns_and_nothing_else(variant):
    model = make_model("squeeze", variant)
    before = copy_state(model)
    train(model, steps=1)
    frozen = {key for key in before if key.startswith("metric.")} if variant == "lin" else set()
    assert changed(model, before) == set(before) - frozen


def test_validation_builds_no_graph_for_a_trained_backbone():
    model = make_model("alex", "tune")
    with torch.inference_mode():
        d0, d1 = model.distances(triplets())
    assert not d0.requires_grad
    assert not d1.requires_grad


@pytest.mark.parametrize("variant", VARIANTS)
def test_lin_weights_are_never_negative(variant):
    model = make_model("alex", variant)
    optimizer = make_optimizer(model, 0.05)  # so large that many weights cross zero at every step
    dropout, hit = draws(), []
    assert model.lin.min() == 0
    for step in range(5):
        before = model.lin.detach().clone()
        d0, d1 = model.distances(triplets(seed=step), dropout)
        update(model, optimizer, model.ranking(d0, d1, torch.tensor([0.0, 0.5, 1.0])))
        hit.append(((before > 0) & (model.lin == 0)).sum().item())
        assert model.lin.min() >= 0
    assert max(hit) > 0


@pytest.mark.parametrize("clamp", [False, True])
def test_lin_weights_start_as_the_released_ones_and_projected_unless_it_is_to_be_compatible(clamp):
    lows, highs, zeros = [], [], []
    for part in make_model("squeeze", released_clamp=clamp).lin_by_layer():
        bound = len(part) ** -0.5
        lows.append(part.min().item() / bound)
        highs.append(part.max().item() / bound)
        zeros.append((part == 0).float().mean().item())
    theirs = [
        lin.model[1].weight.flatten() for lin in released.LPIPS(net="squeeze", pretrained=False, pnet_rand=True).lins
    ]
    assert all(0.85 < part.abs().max() * len(part) ** 0.5 <= 1 for part in theirs)
    assert all(0.85 < high <= 1 for high in highs)
    if clamp:
        assert all(-1 <= low < -0.85 for low in lows)
    else:
        assert lows == [0] * 7
        assert all(0.3 < share < 0.7 for share in zeros)


def test_the_same_seed_gives_the_same_model_and_another_seed_another():
    state, again, other = (make_model(seed=seed).trained_state() for seed in (1, 1, 2))
    assert all(torch.equal(state[key], again[key]) for key in state)
    assert not any(torch.equal(state[key], other[key]) for key in state)


def test_projection_leaves_the_backbone_alone_and_the_released_clamp_takes_its_1x1_convolutions_along():
    model = make_model("squeeze", "tune")
    before = copy_state(model)
    model.project()
    assert not changed(model, before)
    model = make_model("squeeze", "tune", released_clamp=True)
    before = copy_state(model)
    model.project()
    modules = dict(model.metric.backbone.named_modules())
    convolutions = {name for name, m in modules.items() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)}
    assert len(convolutions) == 16
    assert changed(model, before) == {"lin"} | {f"metric.backbone.{name}.weight" for name in convolutions}
    assert all(modules[name].weight.min() == 0 for name in convolutions)


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_trained_state_is_all_that_is_needed_to_go_on(variant, clamp):
    model = make_model("squeeze", variant, released_clamp=clamp)
    train(model, steps=2)
    state = {key: value.clone() for key, value in model.trained_state().items()}
    other = make_model("squeeze", variant, seed=9, released_clamp=clamp)
    other.load_trained_state(state)
    assert not changed(other, model.state_dict())
    for ours, theirs in zip(other.distances(triplets()), model.distances(triplets()), strict=True):
        assert torch.equal(ours, theirs)


def test_trained_state_of_lin_leaves_out_the_frozen_backbone():
    assert set(make_model().trained_state()) == {
        "lin",
        *(f"ranking.net.{n}.{k}" for n in (0, 2, 4) for k in ("weight", "bias")),
    }
    assert set(make_model(variant="tune").trained_state()) == set(make_model(variant="tune").state_dict())


@pytest.mark.parametrize("version", ["0.0", "0.1"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_the_trained_metric_gives_the_models_distances_here_and_in_the_released_package(net, variant, version):
    model = make_model(net, variant, version)
    train(model, steps=2, dropout=draws())
    ref, p0, p1 = triplets(seed=7)
    metric = model.trained_metric()
    theirs = empty_released_metric(net, version)
    theirs.load_state_dict(metric.official_state_dict(), strict=True)
    theirs.eval()
    assert (metric.variant, metric.version) == (variant, version)
    with torch.no_grad():
        for other, distance in zip((p0, p1), model.distances(ImageBatch(ref, p0, p1)), strict=True):
            torch.testing.assert_close(metric(ref, other), distance, atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(theirs(ref, other).flatten(), distance, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("net", NETS)
def test_the_trained_metric_of_every_net_loads_into_the_released_package(net):
    metric = make_model(net).trained_metric()
    empty_released_metric(net, "0.1").load_state_dict(metric.official_state_dict(), strict=True)


def test_the_trained_metric_is_a_frozen_copy():
    model = make_model("alex", "tune")
    metric = model.trained_metric()
    before = copy_state(metric)
    train(model, steps=1)
    assert all(torch.equal(value, before[key]) for key, value in metric.state_dict().items())
    assert not any(parameter.requires_grad for parameter in metric.parameters())


@pytest.mark.cuda
def test_the_trained_metric_is_on_the_models_device():
    model = make_model().cuda()
    metric = model.trained_metric()
    ref, p0, _ = (image.cuda() for image in triplets())
    assert metric(ref, p0).is_cuda


def test_dropout_is_drawn_from_the_generator_alone():
    model = make_model()

    def draw(seed: int | None) -> Tensor:
        dropout = None if seed is None else draws(seed)
        return torch.stack(model.distances(triplets(), dropout)).detach()

    before = torch.get_rng_state()
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert not torch.equal(draw(1), draw(None))
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_takes_p0_and_p1_apart():
    # As in the released code, where they are two calls: with the same images the distances differ by their dropout.
    ref, p0, _ = triplets()
    d0, d1 = make_model().distances(ImageBatch(ref, p0, p0), draws())
    assert (d0 != d1).all()


@pytest.mark.parametrize("layer", range(5))
def test_dropout_is_of_every_layer(layer):
    model = make_model()
    with torch.no_grad():
        for number, part in enumerate(model.lin.split(model.channels)):
            part.fill_(float(number == layer))
    drawn, plain = (torch.stack(model.distances(triplets(), dropout)) for dropout in (draws(), None))
    assert (drawn != plain).all()


def test_dropout_of_a_part_of_a_batch_is_that_part_of_the_dropout_of_the_batch():
    model, batch = make_model(), triplets(5)
    whole = torch.stack(model.distances(batch, draws()))
    parts = []
    for first, end in ((0, 2), (2, 5)):
        dropout = Dropout(torch.Generator().manual_seed(0), batch=5, first=first)
        parts.append(torch.stack(model.distances(ImageBatch(*(image[first:end] for image in batch)), dropout)))
    # The convolutions of a batch of another size may sum in another order.
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-6, rtol=1e-5)


def test_without_dropout_draws_change_nothing():
    model = make_model(dropout=False)
    for drawn, plain in zip(model.distances(triplets(), draws()), model.distances(triplets()), strict=True):
        assert torch.equal(drawn, plain)


def test_features_without_noise_are_refused_if_dropout_is_drawn():
    means, model = torch.rand(3, 2, sum(make_model().channels)), make_model()
    assert model.distances(FeatureBatch(means))[0].shape == (3,)
    with pytest.raises(ValueError, match="features without noise: dropout cannot be drawn"):
        model.distances(FeatureBatch(means), draws())


def test_a_model_is_a_module_whose_dtype_can_be_changed():
    assert {parameter.dtype for parameter in make_model().bfloat16().parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_finite_where_the_images_are_equal(variant):
    model = make_model("alex", variant)
    ref, *_ = triplets()
    d0, d1 = model.distances(ImageBatch(ref, ref, ref))
    model.ranking(d0, d1, torch.tensor([0.0, 0.5, 1.0])).backward()
    assert d0.abs().max() == 0
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("variant", ["tune", "scratch"])
def test_gradients_of_the_backbone_are_finite_where_all_features_vanish(variant):
    # Version 0.0 does not shift its input, so with zero biases every feature of a gray image is zero.
    model = make_model("alex", variant, "0.0")
    d0, d1 = model.distances(ImageBatch(torch.zeros(3, 3, 64, 64), *triplets()[:2]))
    model.ranking(d0, d1, torch.tensor([0.0, 0.5, 1.0])).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
