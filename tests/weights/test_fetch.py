import pytest
import torch
import torchvision

from lpips_repro.backbones import Backbone
from lpips_repro.errors import UserError
from lpips_repro.weights import fetch
from lpips_repro.weights.imagenet import imagenet_state
from tests.compose import settings


def test_make_weights_fetches_checks_and_names_the_file(bare, tmp_path, monkeypatch, caplog):
    file = tmp_path / "hub/checkpoints/efficientnet_b0_rwightman-7f5810bc.pth"
    monkeypatch.setattr(
        torch.hub,
        "download_url_to_file",
        lambda url, to, *args, **kwargs: torch.save(torchvision.models.efficientnet_b0().state_dict(), to),
    )
    with pytest.raises(UserError, match="not fetched: efficientnet_b0 ImageNet"):
        fetch.fetch_weights(settings("weights", "net=[efficientnet_b0]"))
    assert "not torchvision's ImageNet weights of efficientnet_b0" in caplog.text  # random ones have another hash
    monkeypatch.setattr(fetch, "check_imagenet", lambda name, found, state: None)
    monkeypatch.setattr("lpips_repro.weights.imagenet.check_imagenet", lambda name, found, state: None)
    with caplog.at_level("INFO"):
        fetch.fetch_weights(settings("weights", "net=[efficientnet_b0]"))
    assert f"efficientnet_b0 ImageNet: {file}, checked" in caplog.text
    backbone = Backbone("efficientnet_b0", imagenet_state("efficientnet_b0", download=False))
    assert len(backbone.features) == 8


def test_make_weights_says_where_such_a_file_belongs(caplog):
    with caplog.at_level("INFO"):
        fetch.fetch_weights(settings("weights", "net=[vit_mae]"))
    assert "vit-mae: nothing to fetch (init=file): experiments/weights/mae_pretrain_vit_base.pth: put" in caplog.text
