"""Networks younger than the paper in training."""

import json

import pytest
import torch
from torch import nn

from lpips_repro import LPIPS
from lpips_repro.backbones import BACKBONES, gaussian_state
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training.batch import ImageBatch
from lpips_repro.training.model import RankingModel
from lpips_repro.training.run import train
from lpips_repro.training.step import update
from tests.compose import settings
from tests.datasets.folders import make_split
from tests.slow import slow_but

NETS = ("resnet18", "resnet50", "efficientnet_b0", "convnext_tiny", "swin_t", "vit_b_16")
TIMM = ("timm/test_vit", "timm/test_mambaout")  # the maps of the second have channels last


def after_a_step(net, variant):
    """A model after one training step, the triplet, and the state before the step."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    ref, noise = (torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1 for _ in range(2))
    model = RankingModel(net, variant, "0.1", gaussian_state(net, 0))
    triplet = (ref, ref.lerp(noise, 0.1), ref.lerp(noise, 0.5))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    d0, d1 = model.distances(ImageBatch(*triplet))
    update(model, make_optimizer(model, 1e-3), model.ranking(d0, d1, torch.tensor([0.0])))
    return model, triplet, before


@pytest.mark.parametrize("net", slow_but(("resnet18", "efficientnet_b0"), NETS))
def test_a_step_of_lin_changes_the_lin_weights_of_every_map_and_no_backbone(net):
    model, triplet, before = after_a_step(net, "lin")
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items() if key.startswith("metric."))
    parts = (state["lin"].split(BACKBONES[net].channels) for state in (before, after))
    assert not any(torch.equal(one, other) for one, other in zip(*parts, strict=True))
    assert (model.trained_metric()(*triplet[:2]) > 0).all()


@pytest.mark.parametrize("net", ["resnet18", pytest.param("efficientnet_b0", marks=pytest.mark.slow)])
def test_tune_leaves_the_statistics_of_batch_normalization_as_they_are(net):
    model, _, before = after_a_step(net, "tune")
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert norms
    assert not any(layer.training for layer in norms)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {key for key, _ in model.named_parameters()}  # the statistics are buffers


@pytest.mark.parametrize("net", slow_but(("resnet18", *TIMM), (*NETS, *TIMM)))
def test_lin_is_trained_on_a_small_folder(net, tmp_path):
    make_split(tmp_path / "data", phase="train", split="cnn", count=6)
    make_split(tmp_path / "data", split="cnn", count=4)
    where = (f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", f"features={tmp_path}/features")
    quick = ("trainer.epochs=1", "trainer.decay_epochs=0", "trainer.batch_size=3", "bootstrap=20", "device=cpu")
    made = (f"net.resnet18.backbone={net}", "net.resnet18.init=gaussian")
    train(
        settings(
            "train", "data=folder", "net=resnet18", "variant=lin", f"experiments={tmp_path}", *where, *quick, *made
        )
    )
    (folder,) = tmp_path.glob("folder-resnet18-lin-v0.1-seed0-*")
    assert json.loads((folder / "summary.json").read_text())["backbone"] == net
    metric = LPIPS.from_official(net, "0.1", torch.load(folder / "weights.pth", weights_only=True))
    assert [len(weight) for weight in metric.lin] == list(BACKBONES[net].channels)
    x, y = torch.rand(2, 1, 3, 64, 64) * 2 - 1
    torch.testing.assert_close(metric.optimized(compiled=False)(x, y), metric(x, y), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("net", [*NETS, *TIMM])
def test_it_can_be_compiled(net):
    metric = LPIPS(net, "off_the_shelf", weights=gaussian_state(net, 0))
    x, y = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(metric.optimized()(x, y), metric(x, y), rtol=1e-4, atol=1e-6)
