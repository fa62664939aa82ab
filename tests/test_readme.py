"""The README's code runs, and what it says about commands and settings is so."""

import re

import torch

from lpips_repro.metrics import METRICS
from tests.compose import CONFIGS, settings

ROOT = CONFIGS.parent
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def python_block(word: str) -> str:
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if word in block)
    return block


def test_usage_of_the_metric_runs(shared, monkeypatch):
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(shared / "weights"))
    names: dict = {}
    exec(python_block("from lpips_repro import LPIPS"), names)
    assert names["distance"].shape == names["d0"].shape == names["d1"].shape == (8,)
    assert names["heatmap"].shape == (8, 1, 64, 64)


def test_example_of_a_new_metric_runs_and_is_registered(monkeypatch):
    monkeypatch.delitem(METRICS, "mae", raising=False)
    block = python_block("def mae")
    assert len(block.splitlines()) < 20
    exec(block, {})
    x = torch.zeros(2, 3, 8, 8)
    assert METRICS["mae"].function(x, x + 0.25).tolist() == [0.25, 0.25]
    del METRICS["mae"]


def test_every_make_target_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE)) <= targets


def test_every_target_sets_up_the_environment_first_and_explains_itself():
    for target, rest in re.findall(r"^([a-z-]+):(.*)$", MAKEFILE, re.MULTILINE):
        assert target == "setup" or rest.split("##")[0].split() == ["setup"], target
        assert "## " in rest, target


def test_every_override_named_composes():
    for target, config in (("eval-tables", "evaluate"), ("data", "dataset")):
        for line in re.findall(rf"make {target} .*", README):
            arguments = re.search(r'ARGS="([^"]*)"', line)
            overrides = [word for word in (arguments[1].split() if arguments else []) if "mae" not in word]
            settings(config, *overrides)
