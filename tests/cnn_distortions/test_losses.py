import pytest
import torch
from torchvision.models import squeezenet1_1

from lpips_repro.backbones import Backbone, gaussian_state
from lpips_repro.cnn_distortions.losses import PerceptualLoss, perceptual_loss
from lpips_repro.errors import UserError
from tests.cnn_distortions.tiny import squeeze_loss

IMAGES = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_loss_is_the_mean_relative_difference_of_the_maps():
    # Computed with torchvision's network, and ImageNet's mean and standard deviation on [0, 1].
    state = gaussian_state("squeeze", 0)
    features = squeezenet1_1(weights=None).features
    features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    mean, deviation = (torch.tensor(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    parts, maps = [], [(one - mean) / deviation for one in IMAGES]
    for number, layer in enumerate(features):
        maps = [layer(one) for one in maps]
        if number in (1, 4, 7, 9, 10, 11, 12):
            parts.append((maps[0] - maps[1]).abs().mean() / maps[1].abs().mean())
    found = PerceptualLoss(Backbone("squeeze", state))(*IMAGES)
    # The metric's constants for [-1, 1] are rounded to three digits.
    torch.testing.assert_close(found, torch.stack(parts).mean(), rtol=5e-3, atol=0)


def test_the_loss_of_equal_images_is_zero():
    assert squeeze_loss()(IMAGES[0], IMAGES[0]) == 0


def test_only_the_made_image_gets_a_gradient():
    made, original = (images.clone().requires_grad_() for images in IMAGES)
    loss = squeeze_loss()
    loss(made, original).backward()
    assert made.grad.abs().sum() > 0
    assert original.grad is None
    assert all(parameter.grad is None for parameter in loss.parameters())


def test_missing_weights_are_an_error_that_names_other_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match=r"^perceptual=vgg: no ImageNet weights of vgg .*set perceptual=squeeze"):
        perceptual_loss("vgg", download=False)
