import json

import pytest
import torch

from lpips_repro.cnn_distortions.networks import Generator
from lpips_repro.cnn_distortions.space import draw_config
from lpips_repro.cnn_distortions.stored_autoencoders import DamagedAutoencoder, read_card, read_generator
from lpips_repro.errors import UserError
from tests.cnn_distortions.tiny import tiny_config, write_tiny


@pytest.mark.parametrize("number", range(6))
def test_an_autoencoder_is_read_as_written_to_the_bit(number, tmp_path):
    config = draw_config(0, number, "vgg")
    card = write_tiny(tmp_path, config)
    assert read_card(tmp_path) == card
    torch.manual_seed(0)
    generator = Generator(config).eval()
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(read_generator(tmp_path, card)(image), generator(image))


def test_an_autoencoder_that_is_left_out_has_its_reason_and_no_weights(tmp_path):
    write_tiny(tmp_path, left_out="its output is constant")
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]
    card = read_card(tmp_path)
    assert (card["left_out"], card["weights"]) == ("its output is constant", None)


def test_weights_of_another_network_are_named(tmp_path):
    write_tiny(tmp_path / "0", seed=0)
    write_tiny(tmp_path / "1", seed=1)
    (tmp_path / "1/weights.pth").replace(tmp_path / "0/weights.pth")
    with pytest.raises(DamagedAutoencoder, match=r"0/weights\.pth: not the weights of its card: digest"):
        read_generator(tmp_path / "0", read_card(tmp_path / "0"))


@pytest.mark.parametrize("damage", ["cut", "missing", "text"])
def test_damaged_weights_are_named(tmp_path, damage):
    card = write_tiny(tmp_path)
    file = tmp_path / "weights.pth"
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(content[:500] if damage == "cut" else b"no weights")
    wanted = r"weights\.pth: .*: restore the file, or `make cnn-distortions` trains it again"
    with pytest.raises(DamagedAutoencoder, match=wanted) as error:
        read_generator(tmp_path, card)
    assert "fetch" not in str(error.value)


def test_a_card_with_the_config_of_another_network_does_not_take_the_weights(tmp_path):
    card = write_tiny(tmp_path) | {"config": tiny_config(first_channels=6).to_json()}
    with pytest.raises(DamagedAutoencoder, match=r"first\.0\.weight has shape"):
        read_generator(tmp_path, card)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:100],
        lambda text: "[]",
        lambda text: "[" * 100_000,
        lambda text: text.replace('"kernel"', '"kernels"'),
        lambda text: text.replace('"left_out": null', '"left_out": "its output is constant"'),
    ],
)
def test_a_damaged_card_is_named(tmp_path, damage):
    write_tiny(tmp_path)
    file = tmp_path / "card.json"
    file.write_text(damage(file.read_text()))
    with pytest.raises(DamagedAutoencoder, match=r"card\.json: damaged"):
        read_card(tmp_path)


def test_a_card_with_another_format_is_not_damaged(tmp_path):
    file = tmp_path / "card.json"
    write_tiny(tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 2}))
    with pytest.raises(UserError, match="has format 2, expected 1") as error:
        read_card(tmp_path)
    assert not isinstance(error.value, DamagedAutoencoder)
