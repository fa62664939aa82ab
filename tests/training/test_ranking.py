import lpips as released
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lpips_repro.training.ranking import ACTIVATIONS, RankingLoss


def make_loss(activation: str = "leaky_relu", seed: int = 0) -> RankingLoss:
    torch.manual_seed(seed)
    return RankingLoss(activation).double()


def judgments(count: int = 200, scale: float = 1.0) -> list[Tensor]:
    """Distances d0 and d1, some of them zero, and shares of two judges."""
    generator = torch.Generator().manual_seed(1)
    d0, d1 = torch.rand(2, count, dtype=torch.float64, generator=generator) * scale
    d0[:20] = 0
    d1[10:30] = 0
    return [d0, d1, torch.randint(0, 3, (count,), generator=generator).double() / 2]


def released_loss(ours: RankingLoss) -> released.BCERankingLoss:
    """The released loss with the weights of ours: its layers are 1x1 convolutions."""
    theirs = released.BCERankingLoss()
    state = {f"model.{k}": v.view(*v.shape, 1, 1) if v.ndim == 2 else v for k, v in ours.net.state_dict().items()}
    theirs.net.load_state_dict(state, strict=True)
    return theirs.double()


def gradients(loss: Tensor, inputs: list[Tensor], parameters: list[Tensor]) -> list[Tensor]:
    return [g.flatten() for g in torch.autograd.grad(loss, [*inputs, *parameters])]


@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
def test_loss_and_gradients_are_those_of_the_released_code(scale):
    ours = make_loss()
    theirs = released_loss(ours)
    d0, d1, judge = judgments(scale=scale)
    distances = [d0.requires_grad_(), d1.requires_grad_()]
    column = (-1, 1, 1, 1)  # it takes (N, 1, 1, 1), and votes in [-1, 1]
    wanted = theirs(d0.view(column), d1.view(column), 2 * judge.view(column) - 1)
    found = ours(d0, d1, judge)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
    pairs = zip(
        gradients(found, distances, list(ours.parameters())),
        gradients(wanted, distances, list(theirs.parameters())),
        strict=True,
    )
    for our_gradient, their_gradient in pairs:
        torch.testing.assert_close(our_gradient, their_gradient, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("activation", "slope"), [("relu", 0.0), ("leaky_relu", 0.2)])
def test_network_is_that_of_the_paper(activation, slope):
    ours = make_loss(activation)
    d0, d1, judge = judgments(scale=5)
    x = torch.stack((d0, d1, d0 - d1, d0 / (d1 + 0.1), d1 / (d0 + 0.1)), dim=1)
    weights = list(ours.parameters())
    assert [tuple(w.shape) for w in weights] == [(32, 5), (32,), (32, 32), (32,), (1, 32), (1,)]
    for w, b in (weights[0:2], weights[2:4]):
        x = x @ w.T + b
        x = torch.where(x > 0, x, slope * x)
    chosen = torch.sigmoid(x @ weights[4].T + weights[5]).squeeze(1)
    expected = -(judge * chosen.log() + (1 - judge) * (1 - chosen).log()).mean()
    torch.testing.assert_close(torch.sigmoid(ours.logit(d0, d1)), chosen, atol=1e-12, rtol=0)
    torch.testing.assert_close(ours(d0, d1, judge), expected, atol=1e-12, rtol=0)


def test_the_two_activations_are_two_losses():
    assert make_loss("relu")(*judgments()) != make_loss("leaky_relu")(*judgments())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_zero_distances(activation, dtype):
    loss = make_loss(activation).to(dtype)
    d0, d1 = (torch.zeros(6, dtype=dtype, requires_grad=True) for _ in range(2))
    value = loss(d0, d1, torch.tensor([0, 0.5, 1, 0, 0.5, 1], dtype=dtype))
    assert value.isfinite()
    assert all(g.isfinite().all() for g in gradients(value, [d0, d1], list(loss.parameters())))


def test_loss_and_gradients_are_finite_where_a_sigmoid_saturates():
    # In float32 the probability is 1 to the last bit here, and the logarithm of its complement minus infinity.
    loss = make_loss().float()
    d0 = torch.tensor([1e4], requires_grad=True)
    logit = loss.logit(d0, torch.zeros(1))
    assert torch.sigmoid(logit.abs()) == 1
    wrong = (logit < 0).float()
    value = loss(d0, torch.zeros(1), wrong)
    torch.testing.assert_close(value, logit.abs().squeeze())
    value.backward()
    assert d0.grad.isfinite().all()
    assert d0.grad.abs().max() > 0


def test_starts_as_the_released_network_does():
    # 1x1 convolutions and linear layers are initialized alike: uniform in +-1 / sqrt(inputs), biases too.
    parameters = zip(make_loss().parameters(), released.BCERankingLoss().parameters(), strict=True)
    fans = [5, 5, 32, 32, 32, 32]
    for (ours, theirs), fan in zip(parameters, fans, strict=True):
        for value in (ours, theirs):
            assert value.abs().max() <= fan**-0.5
            if value.numel() > 100:
                assert value.abs().max() > 0.95 * fan**-0.5
                assert value.std().item() == pytest.approx((fan * 3) ** -0.5, rel=0.15)


def test_votes_for_the_nearer_of_two_are_learnt():
    loss = make_loss()
    d0, d1, _ = judgments()
    judge = (d1 < d0).double()
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        value = loss(d0, d1, judge)
        value.backward()
        optimizer.step()
    assert value < 0.1 * F.binary_cross_entropy(torch.full_like(judge, 0.5), judge)
