import pytest
import torch

from lpips_repro.cnn_distortions.corruptions import CORRUPTIONS
from lpips_repro.cnn_distortions.networks import Discriminator, Generator
from lpips_repro.cnn_distortions.space import SPACE
from tests.cnn_distortions.tiny import tiny_config, tiny_learner

AMOUNTS = [("amount", (name, amount)) for name, found in CORRUPTIONS.items() for amount in found.amounts]
VALUES = [(name, value) for name, values in SPACE.items() for value in values]


def convolutions(network):
    return [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]


def config_with(name, value):
    if name == "amount":
        return tiny_config(corruption=value[0], amount=value[1])
    return tiny_config(**{name: value})


@pytest.mark.parametrize(("name", "value"), [*VALUES, *AMOUNTS])
def test_each_value_of_each_parameter_takes_a_step_and_gives_images_in_range(name, value):
    learner = tiny_learner(config_with(name, value))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = [layer.weight.clone() for layer in convolutions(learner.generator)]
    assert learner.step(images, images).isfinite()
    after = [layer.weight for layer in convolutions(learner.generator)]
    assert not any(torch.equal(*pair) for pair in zip(before, after, strict=True))
    made = learner.generator.eval()(images)
    assert made.shape == images.shape
    assert 0 <= made.min() < made.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 40), (96, 96)])
@pytest.mark.parametrize("normalization", SPACE["normalization"])
def test_the_output_has_the_size_of_the_image(size, normalization):
    generator = Generator(tiny_config(layers=4, first_stride=2, normalization=normalization)).eval()
    assert generator(torch.rand(1, 3, *size)).shape == (1, 3, *size)


def test_padding_does_not_change_the_rest_of_an_image():
    # With one layer of 3x3 convolutions, the padding does not reach the first pixels.
    generator = Generator(tiny_config(layers=1, normalization="none")).eval()
    image = torch.rand(1, 3, 34, 34)
    cut = generator(image[..., :33, :33])
    torch.testing.assert_close(cut[..., :24, :24], generator(image)[..., :24, :24])


def test_a_generator_has_the_layers_of_its_config():
    config = tiny_config(layers=2, skips=(False, True), dropout=(True, False), forced_skip=True, first_stride=2)
    generator = Generator(config)
    shapes = [(layer.in_channels, layer.out_channels, layer.stride[0]) for layer in convolutions(generator)]
    # First layer; down twice; up twice, each with a merging layer (the second level has a skip); up again; last layer.
    assert shapes == [
        (3, 4, 2), (4, 8, 2), (8, 8, 2), (8, 4, 1), (4, 4, 1), (8, 8, 1), (16, 8, 1), (4, 4, 1), (7, 3, 1)
    ]  # fmt: skip
    dropped = [name for name, layer in generator.named_modules() if isinstance(layer, torch.nn.Dropout2d)]
    assert dropped == ["down.0.3", "up.0.1.3"]


@pytest.mark.parametrize("level", [0, 1])
def test_a_skip_carries_the_features_of_its_level(level):
    """If the deepest map is zero, the output depends on the image only through the skip."""
    skips = tuple(number == level for number in range(2))
    for given in (skips, (False, False)):
        generator = Generator(tiny_config(skips=given, forced_skip=False, normalization="none")).eval()
        generator.down[1].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        one, other = generator(torch.rand(2, 3, 16, 16))
        assert torch.equal(one, other) == (given == (False, False))


@pytest.mark.parametrize("layers", [1, 4])
def test_a_discriminator_has_a_value_for_each_part_of_an_image(layers):
    network = Discriminator(layers)
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 1, 64 // 2**layers, 64 // 2**layers)
    assert network(torch.rand(2, 3, 16, 16)).shape == (2, 1, 16 // 2**layers, 16 // 2**layers)
