import math

import pytest
import torch

from lpips_repro.pretraining.tasks import bigan
from lpips_repro.pretraining.tasks.bigan import Bigan
from tests.pretraining.learning import draws, learn, patches


def small(**settings):
    torch.manual_seed(0)
    sizes = {"side": 64, "latents": 4, "width": 8, "hidden": 32}
    return Bigan(seed=0, **(sizes | settings))


def answers(task, pictures, noise):
    """The discriminator's log odds of (x, E(x)) and of (G(z), z), from all three networks."""
    return task.discriminator(pictures, task.encode(pictures)), task.discriminator(task.generator(noise), noise)


def test_if_nothing_is_distinguished_both_losses_are_twice_log_two():
    task = small()
    task.discriminator.forward = lambda pictures, noise: torch.zeros(len(pictures))
    loss, shown = task.loss(*task.draw(patches(8, 64), draws()))
    assert loss.item() == pytest.approx(4 * math.log(2), rel=1e-6)
    assert shown["discriminator_loss"].item() == pytest.approx(2 * math.log(2), rel=1e-6)


def test_each_network_learns_from_its_own_loss_alone():
    task = small()
    task.discriminator.eval()  # in training each look at a picture makes its estimate of the spectral norms better
    examples = task.draw(patches(8, 64), draws())
    task.loss(*examples)[0].backward()
    found = {name: value.grad for name, value in task.named_parameters()}
    task.zero_grad()

    # By the paper's equations, each with the gradient of all networks.
    real, made = answers(task, *examples)
    telling = -torch.sigmoid(real).log().mean() - (1 - torch.sigmoid(made)).log().mean()
    deceiving = -(1 - torch.sigmoid(real)).log().mean() - torch.sigmoid(made).log().mean()
    names, parameters = zip(*task.named_parameters(), strict=True)
    of_telling = dict(zip(names, torch.autograd.grad(telling, parameters, retain_graph=True), strict=True))
    of_deceiving = dict(zip(names, torch.autograd.grad(deceiving, parameters), strict=True))
    for name in names:
        wanted = of_telling if name.startswith("discriminator.") else of_deceiving
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-3, atol=1e-6)
    assert {name.partition(".")[0] for name in names} == {"backbone", "to_latents", "generator", "discriminator"}


def test_thirty_two_pairs_are_learned_by_heart_and_then_the_discriminator_is_deceived():
    task = small()
    examples, told = task.draw(patches(32, 64), draws()), []

    def loss(given, wanted, right=task.loss):
        value, shown = right(given, wanted)
        told.append(shown["discriminator_loss"].item())
        return value, shown

    task.loss = loss
    deceivers = (task.backbone, task.to_latents, task.generator)
    for network in deceivers:
        network.requires_grad_(False)
    learn(task, lambda step: examples, 40)
    assert told[0] == pytest.approx(2 * math.log(2), abs=0.1)
    assert told[-1] < 0.05  # of a least loss of zero

    for network in deceivers:
        network.requires_grad_(True)
    learned = [parameter for network in deceivers for parameter in network.parameters()]
    optimizer = torch.optim.Adam(learned, 1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        task.loss(*examples)[0].backward()
        optimizer.step()
    assert told[-1] > 2 * math.log(2)  # worse than not telling at all


def test_no_layer_of_the_discriminator_makes_differences_larger_than_they_are():
    task = small()
    for _ in range(30):
        answers(task, *task.draw(patches(8, 64), draws()))
    task.discriminator.eval()
    layers = [m for m in task.discriminator.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    assert len(layers) == 4 + 1 + 2 + 1  # halvings of pictures, what is found in them, that in noise, and the answer
    for layer in layers:
        largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item()
        assert largest == pytest.approx(1, abs=0.05)


def test_what_is_encoded_has_the_range_of_noise():
    task = small(latents=6)
    pictures, noise = task.draw(patches(200, 64), draws())
    for numbers in (task.encode(pictures), noise):
        torch.testing.assert_close(numbers.mean(dim=0), torch.zeros(6), atol=0.25, rtol=0)
        torch.testing.assert_close(numbers.var(dim=0), torch.ones(6), atol=0.4, rtol=0)


def test_how_often_the_right_one_is_nearer_by_hand():
    again, right = torch.tensor([[0.0], [1.0], [8.0]]), torch.tensor([[0.25], [0.75], [9.0]])
    assert bigan._nearer_than_others(again, right) == 1
    again[0] = 0.5  # as near to 0.25 as to 0.75
    assert bigan._nearer_than_others(again, right) == pytest.approx(5.5 / 6)
    # 0.5 with 9: no, no. 1 with 0.75: yes, yes. 8 with 0.25: no, no.
    assert bigan._nearer_than_others(again, right.flip(0)) == pytest.approx(2 / 6)


def test_noise_is_found_by_an_encoder_that_undoes_the_generator_and_not_among_shuffled_pictures(monkeypatch):
    task = small()
    examples = task.draw(patches(32, 64), draws())
    noise = examples[1]
    pictures = task.generator(noise).detach()
    optimizer = torch.optim.Adam([*task.backbone.parameters(), *task.to_latents.parameters()], 1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        (task.encode(pictures) - noise).square().mean().backward()
        optimizer.step()
    right = task.generator.forward
    with torch.no_grad():
        assert task.score(*examples)["noise_found"].value > 0.9
        shuffled = []
        for seed in range(10):
            order = torch.randperm(32, generator=draws(seed))
            monkeypatch.setattr(task.generator, "forward", lambda z, order=order: right(z)[order])
            shuffled.append(task.score(*examples)["noise_found"].value)
    assert sum(shuffled) / 10 == pytest.approx(0.5, abs=0.06)


def test_untrained_networks_find_nothing():
    task = small().eval()
    scores = task.score(*task.draw(patches(200, 64, "val"), draws()))
    for value, chance in scores.values():
        assert chance == 0.5
        assert value == pytest.approx(0.5, abs=0.05)
