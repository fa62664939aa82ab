import pytest
import torch

from lpips_repro.config import Optimizer, OptimizerConfig, PretrainConfig, TrainConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.runs.optimizer import make_optimizer
from tests.compose import settings

CONFIGS = {"train": TrainConfig, "pretrain": PretrainConfig}


def composed(script, *overrides):
    return parse(settings(script, *overrides), CONFIGS[script])


def layer():
    torch.manual_seed(0)
    return torch.nn.Linear(5, 3)


def after(optimizer_of, steps=4):
    """The weights of a layer after some steps of an optimizer."""
    module = layer()
    optimizer = optimizer_of(module)
    for step in range(steps):
        optimizer.zero_grad()
        module(torch.full((2, 5), float(step + 1))).square().sum().backward()
        optimizer.step()
    return module.weight.detach()


@pytest.mark.parametrize("script", CONFIGS)
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_both_trainings_take_every_optimizer(script, name):
    cfg = composed(script, f"optimizer={name}").optimizer
    assert cfg.name is Optimizer[name]
    assert not torch.equal(after(lambda module: make_optimizer(module, 1e-2, cfg)), layer().weight)


@pytest.mark.parametrize("script", CONFIGS)
def test_the_default_is_adam_as_it_was_exactly(script):
    cfg, momentum = composed(script).optimizer, {"train": 0.5, "pretrain": 0.9}[script]
    ours = after(lambda module: make_optimizer(module, 1e-2, cfg, momentum))
    wanted = after(lambda module: torch.optim.Adam(module.parameters(), lr=1e-2, betas=(momentum, 0.999), fused=True))
    assert torch.equal(ours, wanted)


def test_settings_reach_the_optimizer():
    cfg = composed("train", "optimizer=sgd", "optimizer.momentum=0.7", "optimizer.weight_decay=0.1").optimizer
    ours = after(lambda module: make_optimizer(module, 1e-3, cfg))
    sgd = {"lr": 1e-3, "momentum": 0.7, "weight_decay": 0.1, "fused": True}
    assert torch.equal(ours, after(lambda module: torch.optim.SGD(module.parameters(), **sgd)))
    cfg = OptimizerConfig(Optimizer.adamw, momentum=0.8, weight_decay=0.2)
    adamw = {"lr": 1e-3, "betas": (0.8, 0.999), "weight_decay": 0.2, "fused": True}
    ours = after(lambda module: make_optimizer(module, 1e-3, cfg, momentum=0.1))
    assert torch.equal(ours, after(lambda module: torch.optim.AdamW(module.parameters(), **adamw)))


def test_what_is_frozen_is_left_out():
    module = layer()
    module.bias.requires_grad_(False)
    (group,) = make_optimizer(module, 1e-3).param_groups
    assert [parameter.shape for parameter in group["params"]] == [(3, 5)]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.momentum=1", r"optimizer\.momentum=1\.0: expected a number of at least 0 and below 1, or null"),
        ("optimizer.weight_decay=-1", r"optimizer\.weight_decay=-1\.0: expected a number of at least 0"),
        ("optimizer.name=adm", "did you mean adam"),
    ],
)
def test_what_is_no_optimizer_is_one_line(override, said):
    with pytest.raises(UserError, match=said):
        composed("pretrain", override)
