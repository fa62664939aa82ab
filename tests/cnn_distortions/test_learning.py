import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from lpips_repro.cnn_distortions import learning
from lpips_repro.cnn_distortions.learning import examples, learn
from lpips_repro.cnn_distortions.space import draw_config
from lpips_repro.config import Precision
from lpips_repro.devices import one_thread
from tests.cnn_distortions.tiny import CONFIG, smooth_crops, tiny_config, tiny_learner


@pytest.mark.parametrize("number", range(5))
def test_drawn_autoencoders_learn(number):
    # With fewer channels than drawn, to save time.
    config = dataclasses.replace(draw_config(0, number, "squeeze"), first_channels=8, most_channels=16)
    learner = tiny_learner(config)
    given, wanted = (torch.from_numpy(part) for part in examples(config, smooth_crops(4, 32), np.arange(4), (0, 0)))
    losses = []
    for _ in range(12):
        with torch.no_grad():
            made = learner.generator(given)
            loss = config.l1 * functional.l1_loss(made, wanted)
            if config.perceptual:
                loss += config.perceptual * learner.perceptual(made, wanted)
        losses.append(loss.item())
        learner.step(given, wanted)
    assert np.mean(losses[-3:]) < 0.985 * np.mean(losses[:3]), losses


def test_the_loss_is_the_weighted_sum_of_its_parts():
    config = tiny_config(l1=2.0, perceptual=3.0, adversarial=0.5, dropout=(False, False))
    learner = tiny_learner(config)
    given, wanted = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made = learner.generator(given)
        learner.discriminator.eval()  # otherwise spectral normalization would update its state
        deceived = functional.softplus(-learner.discriminator(made)).mean()
        learner.discriminator.train()
        wanted_loss = 2 * (made - wanted).abs().mean() + 3 * learner.perceptual(made, wanted) + 0.5 * deceived
    torch.testing.assert_close(learner.step(given, wanted), wanted_loss, rtol=2e-3, atol=0)


def test_a_discriminator_learns_to_distinguish_images_from_outputs():
    learner = tiny_learner(tiny_config(learning_rate=2e-3, adversarial=1.0, l1=1e-3, perceptual=0.0))
    learner.optimizers[0].param_groups[0]["lr"] = 0.0  # the generator does not change
    given, wanted = torch.rand(2, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for _ in range(40):
        learner.step(given, wanted)
    with torch.no_grad():
        assert learner.discriminator(wanted).mean() > learner.discriminator(learner.generator(given)).mean() + 0.2


def test_each_network_is_changed_only_by_its_own_loss():
    learner = tiny_learner(tiny_config(adversarial=1.0))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    learner.optimizers[1].param_groups[0]["lr"] = 0.0
    before = [parameter.clone() for parameter in learner.discriminator.parameters()]
    learner.step(images, images)
    assert all(torch.equal(*pair) for pair in zip(before, learner.discriminator.parameters(), strict=True))
    assert all(parameter.requires_grad for parameter in learner.discriminator.parameters())


@pytest.mark.parametrize("precision", [Precision.float32, Precision.bfloat16])
def test_the_output_is_float32_in_every_precision(precision):
    learner = tiny_learner()
    learner.precision = precision
    used = []
    learner.generator.last.register_forward_hook(lambda module, inputs, output: used.append(output.dtype))
    learner.generator.register_forward_hook(lambda module, inputs, output: used.append(output.dtype))
    images = torch.rand(2, 3, 32, 32)
    assert learner.step(images, images).isfinite()
    inside = torch.bfloat16 if precision is Precision.bfloat16 else torch.float32
    assert used == [inside, torch.float32]


class Recorder:
    """A stand-in for a learner, which keeps its inputs."""

    device, config = torch.device("cpu"), tiny_config(corruption="none", amount=0.0)

    def __init__(self, bad_step=None):
        self.seen, self.bad_step = [], bad_step

    def step(self, given, wanted):
        assert torch.equal(given, wanted)
        self.seen.append(wanted)
        return torch.tensor(torch.nan if len(self.seen) == self.bad_step else 1.0)


def test_a_pass_takes_each_crop_once_without_a_last_incomplete_batch():
    crops = np.arange(22, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    orders = []
    for seeds in ((0, 0), (0, 0), (0, 1), (1, 0)):
        recorder = Recorder()
        assert learn(recorder, crops, 4, seeds, "")
        assert [len(batch) for batch in recorder.seen] == [4] * 5
        orders.append([round(255 * value) for batch in recorder.seen for value in batch[:, 0, 0, 0].tolist()])
        assert len({*orders[-1]}) == 20
    assert orders[0] == orders[1] != orders[2] != orders[3] != orders[0]


def test_learning_ends_soon_after_a_loss_that_is_not_finite(monkeypatch):
    monkeypatch.setattr(learning, "CHECK_EVERY", 3)
    recorder = Recorder(bad_step=4)
    assert not learn(recorder, smooth_crops(40, 4), 4, (0, 0), "")
    assert len(recorder.seen) == 6
    assert not learn(Recorder(bad_step=10), smooth_crops(40, 4), 4, (0, 0), ""), "the last step"


def test_noise_differs_per_image_and_step_and_repeats_with_the_same_seeds():
    crops = np.full((3, 8, 8, 3), 128, np.uint8)
    first, again, later = (examples(CONFIG, crops, np.arange(3), seeds)[0] for seeds in ((0, 1), (0, 1), (0, 2)))
    assert np.array_equal(first, again)
    assert len({noise.tobytes() for noise in (*first, *later)}) == 6


def test_the_same_seeds_give_the_same_weights():
    states = []
    for seed in (5, 5, 6):
        with one_thread():
            learner = tiny_learner(tiny_config(perceptual=0.0), seed)
            learn(learner, smooth_crops(8, 16), 4, (0, seed), "")
        states.append(torch.cat([value.flatten() for value in learner.generator.state_dict().values()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
