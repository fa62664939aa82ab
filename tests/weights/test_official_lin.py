import hashlib

import pytest
import torch

from lpips_repro.errors import UserError
from lpips_repro.weights import official_lin
from lpips_repro.weights.folder import WeightsNotFoundError
from lpips_repro.weights.official_lin import SHA256, official_lin_state


@pytest.fixture
def no_package(monkeypatch, tmp_path):
    """As on a computer without the lpips package, with empty caches."""
    monkeypatch.setattr(official_lin.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("LPIPS_REPRO_WEIGHTS", raising=False)


@pytest.mark.parametrize(("net", "version"), SHA256)
def test_official_weights_come_from_the_installed_package(net, version):
    assert official_lin_state(net, version, download=False)["lin0.model.1.weight"].shape == (1, 64, 1, 1)


def test_missing_weights_are_reported_with_the_remedy(no_package):
    with pytest.raises(WeightsNotFoundError, match=r"alex v0.1.*make weights"):
        official_lin_state("alex", "0.1", download=False)


def test_a_net_without_official_weights_says_which_have_them():
    with pytest.raises(WeightsNotFoundError, match=r"resnet v0.1: there are alex v0.0"):
        official_lin_state("resnet", "0.1")


def test_another_file_is_refused_by_its_hash(no_package, monkeypatch, tmp_path):
    file = tmp_path / "v0.1" / "alex.pth"
    file.parent.mkdir()
    file.write_bytes(b"not the weights")
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(tmp_path))
    with pytest.raises(UserError, match=hashlib.sha256(b"not the weights").hexdigest()):
        official_lin_state("alex", "0.1")


def test_a_failed_download_names_the_address_and_the_remedy(no_package, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(WeightsNotFoundError, match=r"https://.*/v0.1/alex.pth: no route to host: .*make weights"):
        official_lin_state("alex", "0.1")
