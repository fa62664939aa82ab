import json

import pytest
import yaml

from lpips_repro.cnn_distortions.config import AutoencoderConfig
from lpips_repro.cnn_distortions.space import draw_config
from lpips_repro.errors import UserError
from tests.cnn_distortions.tiny import CONFIG, tiny_config


@pytest.mark.parametrize(("write", "read"), [(json.dumps, json.loads), (yaml.safe_dump, yaml.safe_load)])
def test_a_config_is_the_same_after_json_and_yaml(write, read):
    for number in range(20):
        config = draw_config(0, number, "vgg")
        assert AutoencoderConfig.from_json(read(write(config.to_json()))) == config


def test_channels_double_up_to_the_largest_number():
    config = tiny_config(layers=4, first_channels=4, most_channels=12, first_stride=2)
    assert config.channels == (4, 8, 12, 12, 12)
    assert config.factor == 32


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("corruption", "blur", "corruption='blur': expected one of none, white_noise"),
        ("upsampling", "nearestt", "upsampling='nearestt': expected one of .*did you mean nearest"),
        ("layers", 0, "layers=0: expected an integer of at least 1"),
        ("layers", 2.0, "layers=2.0: expected an integer"),
        ("layers", True, "layers=True: expected an integer"),
        ("kernel", 4, "kernel=4: expected an odd integer"),
        ("first_stride", 3, "first_stride=3: expected 1 or 2"),
        ("skips", (True,), r"skips=\(True,\): expected 2 of true and false, one per layer"),
        ("dropout", (1, 0), r"dropout=\(1, 0\): expected 2 of true and false"),
        ("l1", -1.0, "l1=-1.0: expected a number of at least 0"),
        ("learning_rate", float("nan"), "learning_rate=nan: expected a number"),
        ("learning_rate", "fast", "learning_rate=fast: expected a number"),
    ],
)
def test_an_invalid_value_is_named(name, value, message):
    content = CONFIG.to_json() | {name: value}
    with pytest.raises(UserError, match=f"^FILE: {message}"):
        AutoencoderConfig.from_json(content, "FILE")


def test_a_config_without_any_loss_is_refused():
    with pytest.raises(UserError, match="l1=0: expected a loss whose weight is above 0"):
        tiny_config(l1=0, perceptual=0, adversarial=0)


def test_settings_that_are_unknown_or_missing_are_named():
    with pytest.raises(UserError, match=r"kernels: unknown setting: .*did you mean kernel"):
        AutoencoderConfig.from_json(CONFIG.to_json() | {"kernels": 3})
    content = CONFIG.to_json()
    del content["kernel"]
    with pytest.raises(UserError, match="kernel: no value"):
        AutoencoderConfig.from_json(content)
    with pytest.raises(UserError, match="holds a list: expected settings by name"):
        AutoencoderConfig.from_json([])
