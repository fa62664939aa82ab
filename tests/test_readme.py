"""The README's code runs, and what it says about commands and settings is so."""

import re

import torch

from lpips_repro.backbones import BACKBONES, Backbone
from lpips_repro.metrics import METRICS
from tests.compose import CONFIGS, settings

ROOT = CONFIGS.parent
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def python_block(word: str) -> str:
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if word in block)
    return block


def test_usage_of_the_metric_runs(imagenet):
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


def test_example_of_a_new_backbone_runs_and_is_registered(monkeypatch):
    monkeypatch.delitem(BACKBONES, "mine", raising=False)
    exec(python_block("def layers"), {})
    maps = Backbone("mine")(torch.zeros(1, 3, 64, 64))
    assert tuple(m.shape[1] for m in maps) == BACKBONES["mine"].channels == (8, 16)
    assert [m.shape[2] for m in maps] == [32, 16]
    del BACKBONES["mine"]


def test_every_make_target_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE)) <= targets


def test_every_target_sets_up_the_environment_first_and_explains_itself():
    for target, rest in re.findall(r"^([a-z-]+):(.*)$", MAKEFILE, re.MULTILINE):
        assert target in ("setup", "help") or rest.split("##")[0].split() == ["setup"], target
        assert "## " in rest, target


def test_every_override_named_composes():
    targets = {"eval-tables": "evaluate", "data": "dataset", "data-stats": "dataset", "data-verify": "dataset"}
    targets |= {"train": "train", "sparsity": "sparsity", "weights": "weights", "bench": "bench"}
    targets |= {
        "disagreements": "disagreements",
        "correlation": "correlation",
        "report": "report",
        "init-kmeans": "init_kmeans",
        "pretrain": "pretrain",
    }
    found = set()
    for target, variables in re.findall(r"make ([a-z-]+)((?: [A-Z_]+=(?:\"[^\"]*\"|[^\s`,:]+))+)", README):
        overrides = []
        for name, quoted, plain in re.findall(r' ([A-Z_]+)=(?:"([^"]*)"|([^\s`,:]+))', variables):
            if name == "ARGS":
                overrides += [word for word in quoted.split() if not re.search("mae|mine|=FILE", word)]
            elif name in ("METHODS", "SPLITS"):
                overrides.append(f'{name.lower()}="{plain}"')
            elif name in ("NET", "VARIANT", "DATA", "TASK"):
                if plain != "mine":  # to be made by the user
                    overrides.append(f"{name.lower()}={plain}")
            else:
                assert name in re.findall(r"^([A-Z_]+) [?:]=", MAKEFILE, re.MULTILINE), name
        if target == "correlation":
            overrides = [word for word in overrides if not word.startswith("data=")]  # is in the name of a folder
        if target in targets:
            settings(targets[target], *overrides)
            found.add(target)
    assert {"eval-tables", "data", "train"} <= found
