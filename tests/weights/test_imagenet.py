import pickle
import traceback
from urllib.error import URLError

import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.errors import UserError
from lpips_repro.weights import imagenet
from lpips_repro.weights.folder import WeightsNotFoundError
from lpips_repro.weights.imagenet import imagenet_state
from lpips_repro.weights.state_dicts import digest_state, read_state


@pytest.fixture
def unchecked(monkeypatch):
    """Any weights pass for ImageNet's."""
    monkeypatch.setattr(imagenet, "check_imagenet", lambda name, file, state: None)


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(gaussian_state("squeeze", seed), path)
    return digest_state(gaussian_state("squeeze", seed))


def test_weights_are_looked_for_in_the_documented_order(bare, unchecked, tmp_path, monkeypatch):
    explicit, in_cache, in_folder, own_name = (
        tmp_path / name
        for name in (
            "mine.pth",
            "hub/checkpoints/squeezenet1_1-b8a52dc0.pth",
            "folder/squeezenet1_1_imagenet_features.pth",
            "folder/squeezenet1_1-b8a52dc0.pth",
        )
    )
    digests = {path: save(path, seed) for seed, path in enumerate((explicit, in_cache, in_folder, own_name))}
    assert digest_state(imagenet_state("squeeze", download=False)) == digests[in_cache]
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(tmp_path / "folder"))
    assert digest_state(imagenet_state("squeeze", download=False)) == digests[in_folder]
    in_folder.unlink()
    assert digest_state(imagenet_state("squeeze", download=False)) == digests[own_name]
    assert digest_state(imagenet_state("squeeze", explicit, download=False)) == digests[explicit]


@pytest.mark.parametrize("quiet", [True, False])
def test_a_download_leaves_standard_output_to_results(bare, tmp_path, monkeypatch, capsys, caplog, quiet):
    def unreachable(*args, progress, **settings):
        assert progress is not quiet
        raise URLError("no route")

    caplog.set_level("WARNING" if quiet else "INFO", "lpips_repro")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(WeightsNotFoundError, match="no route"):
        imagenet_state("vgg")
    printed = capsys.readouterr()
    assert printed.out == "" and "Downloading" not in printed.err


def test_missing_weights_are_reported_with_the_remedy(bare):
    with pytest.raises(WeightsNotFoundError, match=r"weights of vgg on this computer: run `make weights`"):
        imagenet_state("vgg", download=False)


@pytest.mark.parametrize("net", ["resnet18", "resnet50", "efficientnet_b0", "convnext_tiny", "vit_b_16", "swin_t"])
def test_without_weights_the_remedy_names_torchvisions_own_file(net, bare):
    with pytest.raises(
        WeightsNotFoundError,
        match=rf'run `make weights ARGS="net=\[{net}\]"`, or download https://\S+/{net}_?\w*-[0-9a-f]{{8}}.pth and',
    ):
        imagenet_state(net, download=False)


def test_a_failed_download_names_the_address_and_the_remedy(bare, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(WeightsNotFoundError, match=r"https://.*vgg16.*no route to host: run `make weights`"):
        imagenet_state("vgg")


def test_missing_weights_are_one_error_with_a_remedy_for_those_who_have_no_checkout(bare, monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError(OSError("no route to host"))

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    remedy = "download https://download.pytorch.org/models/vgg16-397923af.pth and set LPIPS_REPRO_WEIGHTS"
    with pytest.raises(WeightsNotFoundError, match=remedy) as found:
        LPIPS("vgg")
    assert found.value.__suppress_context__
    printed = traceback.format_exception(found.value)
    assert "During handling" not in "".join(printed) and "direct cause" not in "".join(printed)
    assert len("".join(printed).splitlines()) < 20


def test_a_folder_that_does_not_exist_is_an_error(bare, monkeypatch):
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", "no/such/folder")
    with pytest.raises(UserError, match="LPIPS_REPRO_WEIGHTS=no/such/folder: no such folder"):
        imagenet_state("alex")


@pytest.mark.parametrize("name", ["squeezenet1_1_imagenet_features.pth", "squeezenet1_1-b8a52dc0.pth"])
def test_other_weights_under_the_name_of_imagenets_are_refused(bare, tmp_path, monkeypatch, name):
    save(tmp_path / name, 0)
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(tmp_path))
    with pytest.raises(UserError, match=f"{name}: not torchvision's ImageNet weights of squeeze"):
        imagenet_state("squeeze")


def test_vgg_under_torchvisions_name_is_checked_by_its_hash(bare, tmp_path, monkeypatch):
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "vgg16-397923af.pth")
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(tmp_path))
    with pytest.raises(UserError, match="expected 397923af"):
        imagenet_state("vgg")


def test_vgg_features_that_cannot_be_checked_are_a_warning(bare, tmp_path, monkeypatch, caplog):
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "vgg16_imagenet_features.pth")
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(tmp_path))
    with caplog.at_level("WARNING"):
        imagenet_state("vgg")
        imagenet_state("vgg")  # for another method
    assert caplog.text.count("used as the ImageNet weights of vgg without a check") == 1


def test_code_in_a_weights_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("code in the file was run",))

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match=r"evil.pth: not a readable weights file"):
        read_state(tmp_path / "evil.pth")


@pytest.mark.parametrize("content", [b"", b"garbage", b"hello\nworld\n", pickle.dumps([1, 2], protocol=2)])
def test_an_unreadable_file_is_named(tmp_path, content):
    (tmp_path / "broken.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"broken.pth"):
        read_state(tmp_path / "broken.pth")


def test_keys_that_are_no_names_are_refused(tmp_path):
    torch.save({1: torch.zeros(1)}, tmp_path / "mod.pth")
    with pytest.raises(UserError, match=r"mod.pth: holds a dict: expected a state dict"):
        read_state(tmp_path / "mod.pth")


def test_a_missing_explicit_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent.pth: no such weights file"):
        imagenet_state("alex", tmp_path / "absent.pth")
