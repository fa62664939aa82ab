"""Checkpoints in the shapes that their authors publish them in, with random weights of small networks."""

import argparse

import pytest
import timm
import torch
import torchvision

from lpips_repro.backbones import Backbone
from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.weights.checkpoints import encoder_state
from lpips_repro.weights.state_dicts import digest_state, read_state
from tests.compose import settings


def resnet(seed=0):
    torch.manual_seed(seed)
    state = torchvision.models.resnet18(weights=None).state_dict()
    return {key: value for key, value in state.items() if not key.startswith("fc.")}


def vit():
    torch.manual_seed(0)
    return timm.create_model("test_vit", num_classes=0).state_dict()


def begin(prefix, state):
    return {f"{prefix}{key}": value for key, value in state.items()}


HEAD = {"fc.0.weight": torch.ones(8, 8), "fc.1.running_mean": torch.ones(8)}
OPTIMIZER = {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
ARGS = argparse.Namespace(arch="vit", lr=0.1, betas=(0.9, 0.95))


def mocov3():
    others = begin("module.momentum_encoder.", resnet(1)) | begin("module.predictor.", HEAD)
    state = begin("module.base_encoder.", resnet() | HEAD) | others
    return {"epoch": 1000, "arch": "resnet50", "state_dict": state, "optimizer": OPTIMIZER, "scaler": {"scale": 2.0}}


def mocov2():
    others = begin("module.encoder_k.", resnet(1)) | {"module.queue": torch.ones(2, 2)}
    return {"epoch": 800, "state_dict": begin("module.encoder_q.", resnet() | HEAD) | others, "optimizer": OPTIMIZER}


def dino():
    head = begin("head.", {"mlp.0.weight": torch.ones(2, 2), "last_layer.weight_g": torch.ones(2, 1)})
    student = begin("module.", begin("backbone.", resnet(1)) | head)
    teacher = begin("backbone.", resnet()) | head
    return {"student": student, "teacher": teacher, "epoch": 100, "args": ARGS, "optimizer": OPTIMIZER}


def mae():
    decoder = {"mask_token": torch.ones(1, 1, 4), "decoder_embed.weight": torch.ones(4, 4)}
    return {"model": vit() | decoder, "args": ARGS, "epoch": 1600}


CHECKPOINTS = {
    "MoCo v3": (mocov3, "resnet18", resnet),
    "MoCo v2": (mocov2, "resnet18", resnet),
    "DINO, whole": (dino, "resnet18", resnet),
    "DINO, the teacher alone": (resnet, "resnet18", resnet),
    "MAE": (mae, "timm/test_vit", vit),
    "MAE, the encoder alone": (lambda: {"model": vit()}, "timm/test_vit", vit),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_encoder_of_a_checkpoint_is_the_network(name, tmp_path):
    checkpoint, net, plain = CHECKPOINTS[name]
    torch.save(checkpoint(), tmp_path / "checkpoint.pth.tar")
    found = Backbone(net, read_state(tmp_path / "checkpoint.pth.tar")).state_dict()
    assert digest_state(found) == digest_state(Backbone(net, plain()).state_dict())


def test_everything_else_must_be_the_networks(tmp_path):
    checkpoint = mocov3()
    checkpoint["state_dict"]["module.base_encoder.layer5.0.conv1.weight"] = torch.ones(1)
    torch.save(checkpoint, tmp_path / "more.pth")
    with pytest.raises(UserError, match=r"unexpected entry 'features.layer5.0.conv1.weight'"):
        Backbone("resnet18", read_state(tmp_path / "more.pth"))
    del checkpoint["state_dict"]["module.base_encoder.layer1.0.conv1.weight"]
    torch.save(checkpoint, tmp_path / "less.pth")
    with pytest.raises(UserError, match=r"no entry 'features.layer1.0.conv1.weight'"):
        Backbone("resnet18", read_state(tmp_path / "less.pth"))


def test_a_plain_state_dict_stays_as_it_is():
    state = resnet()
    assert encoder_state(state) is state
    assert encoder_state([1]) == [1]
    assert encoder_state({1: torch.ones(1)}).keys() == {1}


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("code in the file was run",))

    torch.save({"model": vit(), "args": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match=r"evil.pth: not a readable weights file") as told:
        read_state(tmp_path / "evil.pth")
    assert "weights_only" not in str(told.value)  # torch advises to run the code


@pytest.mark.parametrize(
    ("config", "net", "backbone", "checkpoint"),
    [("resnet50_mocov3", "resnet50-mocov3", "resnet18", mocov3), ("vit_mae", "vit-mae", "timm/test_vit", mae)],
)
def test_a_row_has_the_weights_of_its_file(config, net, backbone, checkpoint, tmp_path):
    torch.save(checkpoint(), tmp_path / "checkpoint.pth")
    overrides = (f"net=[{config}]", f"net.{net}.backbone={backbone}", "variant=[off_the_shelf]", "metric=[]")
    cfg = settings("evaluate", *overrides, f"net.{net}.weights={tmp_path}/checkpoint.pth")
    (row,) = list_methods(parse(cfg, EvaluateConfig))
    assert (row.label, row.group) == (f"{net}-off_the_shelf-v0.1", "self-supervised")
    wanted = Backbone(backbone, encoder_state(checkpoint())).state_dict()
    assert row.build(Engine(torch.device("cpu"))).identity["weights"] == digest_state(wanted)


@pytest.mark.parametrize("config", ["resnet50_mocov3", "vit_mae"])
def test_a_row_without_its_file_says_who_publishes_it(config, tmp_path):
    cfg = settings("evaluate", f"net=[{config}]", "variant=[off_the_shelf]", "metric=[]", f"experiments={tmp_path}")
    (row,) = list_methods(parse(cfg, EvaluateConfig))
    with pytest.raises(UserError, match=r"no such file: put .* there, which its authors publish \(github.com/"):
        row.build(Engine(torch.device("cpu")))
