import numpy as np
import pytest

from lpips_repro.cnn_distortions.corruptions import CORRUPTIONS
from lpips_repro.cnn_distortions.space import SPACE, draw_config

DRAWN = [draw_config(0, number, "vgg") for number in range(300)]


@pytest.mark.parametrize("name", SPACE)
def test_exactly_the_values_of_a_parameter_are_drawn(name):
    values = {getattr(config, name) for config in DRAWN}
    without = {0} if name == "discriminator_layers" else set()
    assert values == {*SPACE[name], *without}


def test_exactly_the_amounts_of_a_corruption_are_drawn():
    drawn = {(config.corruption, config.amount) for config in DRAWN}
    assert drawn == {(name, amount) for name, found in CORRUPTIONS.items() for amount in found.amounts}


@pytest.mark.parametrize("name", ["skips", "dropout"])
def test_any_number_of_layers_has_a_skip_or_dropout_and_each_layer_can(name):
    of_four = [getattr(config, name) for config in DRAWN if config.layers == 4]
    assert {sum(layers) for layers in of_four} == {0, 1, 2, 3, 4}
    assert all(0.3 < share < 0.7 for share in np.mean(of_four, axis=0))


@pytest.mark.parametrize("name", ["corruption", "upsampling", "normalization", "layers", "learning_rate"])
def test_values_are_drawn_equally_often(name):
    counts = [sum(getattr(config, name) == value for config in DRAWN) for value in SPACE[name]]
    expected = len(DRAWN) / len(SPACE[name])
    assert max(abs(count - expected) for count in counts) < 4 * expected**0.5  # four standard deviations


def test_an_autoencoder_depends_on_seed_and_number_alone():
    assert draw_config(0, 7, "vgg") == DRAWN[7]
    assert len({*DRAWN, *(draw_config(1, number, "vgg") for number in range(300))}) == 600


def test_the_output_is_always_compared_with_the_image():
    assert all(config.l1 + config.perceptual > 0 for config in DRAWN)


def test_without_its_loss_there_is_no_discriminator():
    assert all((config.discriminator_layers > 0) == (config.adversarial > 0) for config in DRAWN)


def test_without_a_network_there_is_no_perceptual_loss_and_architectures_are_the_same():
    drawn = [draw_config(0, number, None) for number in range(100)]
    assert {(config.perceptual, config.perceptual_net) for config in drawn} == {(0.0, None)}
    assert all(config.l1 > 0 for config in drawn)
    architecture = (
        "corruption",
        "amount",
        "channels",
        "skips",
        "dropout",
        "upsampling",
        "normalization",
        "adversarial",
    )
    for config, other in zip(drawn, DRAWN, strict=False):
        assert [getattr(config, name) for name in architecture] == [getattr(other, name) for name in architecture]
