"""Networks of timm, of which its own small test networks stand for all."""

import sys
import time

import pytest
import timm
import timm.models._builder
import torch
from safetensors.torch import save_file

from lpips_repro import LPIPS
from lpips_repro.backbones import BACKBONES, Backbone, check_backbone, gaussian_state, timm_models
from lpips_repro.backbones.registry import NotInstalledError
from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.methods import published as methods
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.weights.folder import WeightsNotFoundError
from lpips_repro.weights.imagenet import imagenet_state
from tests.compose import settings

# Each is taken apart by timm in another way: blocks of one resolution, stages, its own class, channels last; by hooks.
NETS = ("test_vit", "test_resnet", "test_efficientnet", "test_mambaout", "test_convnext")
SLOW = tuple(
    pytest.param(net, marks=pytest.mark.slow)
    for net in ("legacy_xception", "resnet50", "vit_base_patch14_dinov2.lvd142m", "swin_tiny_patch4_window7_224")
)
CHANNELS_LAST = ("mambaout", "swin")


def whole(model):
    """timm's own network with random weights, for images of any size."""
    torch.manual_seed(0)
    dynamic = {"dynamic_img_size": True} if "vit" in model or "swin" in model else {}
    return timm.create_model(model, **dynamic, **({"dynamic_img_pad": True} if "vit" in model else {})).eval()


def images(size=64):
    return torch.rand(3, 2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("model", [*NETS, *SLOW])
def test_a_network_takes_the_keys_of_timms_whole_one_and_gives_its_maps(model):
    check_backbone(f"timm/{model}")
    network, x = whole(model), images()[0]
    backbone = Backbone(f"timm/{model}", network.state_dict()).eval()
    outputs = {}
    for name, layer in network.named_modules():
        layer.register_forward_hook(lambda layer, inputs, output, name=name: outputs.__setitem__(name, output))
    with torch.no_grad():
        network(x)
        found = backbone(x)
    assert [m.shape[1] for m in found] == list(BACKBONES[f"timm/{model}"].channels)
    if "vit" in model:
        blocks, prefix, grid = len(network.blocks), network.num_prefix_tokens, found[0].shape[2:]
        names = [f"blocks.{blocks * quarter // 4 - 1}" for quarter in (1, 2, 3, 4)]
        wanted = [outputs[name][:, prefix:].transpose(1, 2).unflatten(2, grid) for name in names]
    else:
        wanted = [outputs[info["module"]] for info in network.feature_info]
    if any(word in model for word in CHANNELS_LAST):
        wanted = [m.permute(0, 3, 1, 2) for m in wanted]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("model", [*NETS, *SLOW])
def test_a_metric_on_it_is_copied_and_given_back(model):
    net, (ref, p0, p1) = f"timm/{model}", images()
    check_backbone(net)
    metric = LPIPS(net, "off_the_shelf", weights=gaussian_state(net, 0))
    d0, d1 = metric.triplet(ref, ref.lerp(p0, 0.05), ref.lerp(p1, 0.6))
    assert (d0 > 0).all()
    assert (d0 < d1).all()
    again = LPIPS.from_official(net, "0.1", metric.official_state_dict())
    torch.testing.assert_close(again(ref, p0), metric(ref, p0), rtol=0, atol=0)
    torch.testing.assert_close(metric.optimized(compiled=False)(ref, p0), metric(ref, p0), rtol=1e-5, atol=1e-6)


def test_the_smallest_size_gives_every_map_a_place_and_one_less_is_refused():
    for model in NETS:
        net = f"timm/{model}"
        metric = LPIPS(net, "off_the_shelf", weights=gaussian_state(net, 0))
        size = BACKBONES[net].min_size
        assert metric(*images(size)[:2]).isfinite().all()
        with pytest.raises(ValueError, match=f"expected sides of at least {size}"):
            metric(*images(size - 1)[:2])


def test_the_tag_chooses_the_preprocessing():
    check_backbone("timm/vit_base_patch16_224.mae")
    assert BACKBONES["timm/vit_base_patch16_224.mae"].preprocess is None  # ImageNet's, as version 0.1 scales
    check_backbone("timm/test_vit")
    x = images()[0]
    torch.testing.assert_close(BACKBONES["timm/test_vit"].preprocess(x), x)  # (value - 0.5) / 0.5 of [0, 1]
    with pytest.raises(UserError, match=r"'0\.0': expected one of 0\.1"):
        LPIPS("timm/test_vit", "off_the_shelf", "0.0", weights=gaussian_state("timm/test_vit", 0))


def test_what_is_not_of_the_network_is_refused():
    state = whole("test_vit").state_dict()
    with pytest.raises(UserError, match=r"unexpected entry 'blocks.9.norm1.weight'"):
        Backbone("timm/test_vit", state | {"blocks.9.norm1.weight": torch.zeros(64)})
    del state["blocks.0.norm1.weight"]
    with pytest.raises(UserError, match=r"no entry 'features.net.model.blocks.0.norm1.weight'"):
        Backbone("timm/test_vit", state)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ("timm/resnet5", "timm .* has no such network"),
        ("timm/resnet50.none", r"Invalid pretrained tag \(none\) for resnet50"),
        ("timm/test_vit_relpos", r"no maps of images of 16 to 64 pixels: .*doesn't match model \(160\)"),
        ("resnet", "expected one of alex, .*, timm/NAME"),
    ],
)
def test_a_network_that_is_not_available_is_refused_with_the_reason(net, message):
    with pytest.raises(UserError, match=f"net='{net}': .*{message}"):
        check_backbone(net)


def rows(*overrides):
    named = ("net=[vit_mae]", "net.vit-mae.backbone=timm/test_vit", "variant=[off_the_shelf]", "metric=[]")
    return list_methods(parse(settings("evaluate", *named, *overrides), EvaluateConfig))


def test_without_timm_its_row_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.delitem(BACKBONES, "timm/test_vit", raising=False)
    with pytest.raises(NotInstalledError, match=r'^timm is not installed: run pip install "lpips_repro\[timm\]"$'):
        check_backbone("timm/test_vit")
    (row,) = rows("net.vit-mae.init=gaussian", "net.vit-mae.weights=null")
    with pytest.raises(UserError, match="timm is not installed"):
        row.build(Engine(torch.device("cpu")))
    methods._state_or_error.cache_clear()  # which keeps the reason, too


def test_timm_downloads_weights_only_where_that_is_asked_for_and_says_so(monkeypatch, caplog):
    asked = []

    def load(model, **kwargs):
        asked.append(type(model).__name__)
        torch.nn.init.constant_(model.patch_embed.proj.bias, 7)

    monkeypatch.setattr(timm.models._builder, "load_pretrained", load)
    monkeypatch.setattr(timm_models, "_check_hub", lambda hub_id: None)
    net = "timm/test_vit"
    gaussian_state(net, 0)
    with pytest.raises(WeightsNotFoundError, match=r"may not be downloaded \(download=false\): .*weights=FILE"):
        imagenet_state(net, download=False)
    assert asked == []
    with caplog.at_level("INFO"):
        state = Backbone(net, imagenet_state(net)).state_dict()
    assert "timm loads the weights of test_vit" in caplog.text
    assert asked == ["VisionTransformer"]
    assert (state["features.net.model.patch_embed.proj.bias"] == 7).all()


def test_a_download_that_fails_is_reported_with_the_remedy(monkeypatch):
    def load(model, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(timm.models._builder, "load_pretrained", load)
    monkeypatch.setattr(timm_models, "_check_hub", lambda hub_id: None)
    gaussian_state("timm/test_vit", 0)
    with pytest.raises(WeightsNotFoundError, match=r"could be downloaded: no route to host: give a file"):
        imagenet_state("timm/test_vit")


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A Hugging Face Hub that does not answer, and the folder of its cache, which is empty."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    closed = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", closed)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


def test_without_a_connection_it_fails_at_once_and_in_one_line(no_hub, caplog):
    gaussian_state("timm/test_vit", 0)
    start = time.monotonic()
    with pytest.raises(
        WeightsNotFoundError, match=r"^no weights of timm/test_vit could be downloaded: .*--weights FILE"
    ):
        imagenet_state("timm/test_vit")
    assert time.monotonic() - start < 10  # the hub's own download repeats the request for 25 seconds
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_without_a_connection_weights_in_the_cache_are_used(no_hub):
    gaussian_state("timm/test_vit", 0)
    folder = no_hub / "models--timm--test_vit.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    wanted = whole("test_vit").state_dict()
    save_file(wanted, folder / "snapshots" / ("0" * 40) / "model.safetensors")
    found = imagenet_state("timm/test_vit")
    assert torch.equal(found["features.net.model.patch_embed.proj.bias"], wanted["patch_embed.proj.bias"])
