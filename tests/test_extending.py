"""The recipes of docs/extending.md: each is added exactly as on the page, and has the result that the page names."""

import csv
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lpips_repro.backbones import BACKBONES
from lpips_repro.config.choices import SETTINGS
from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD
from lpips_repro.datasets.registry import DATASETS
from lpips_repro.evaluation import protocols
from lpips_repro.evaluation.protocols import PROTOCOLS, import_protocols
from lpips_repro.evaluation.run import evaluate
from lpips_repro.metrics import METRICS
from lpips_repro.photographs import crops
from lpips_repro.pretraining import loop
from lpips_repro.pretraining.run import pretrain
from lpips_repro.pretraining.tasks import TASKS
from tests.compose import CONFIGS, settings
from tests.datasets import folders
from tests.datasets.folders import make_split
from tests.photographs.written import write_photographs

ROOT = CONFIGS.parent
PAGE = (ROOT / "docs/extending.md").read_text()
RECIPES = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
QUICK = ("bootstrap=20", "device=cpu", "trained_on=null", "download=false", f"reference={ROOT}/experiments/reference")


@pytest.fixture
def mine(tmp_path, monkeypatch) -> list[str]:
    """Write the recipes to a folder; return overrides that find them. After the test, the registries are restored."""
    registries = [METRICS, BACKBONES, DATASETS, PROTOCOLS, TASKS, IMAGE_FIELDS, VOTE_FIELD, *SETTINGS.values()]
    before = [dict(registry) for registry in registries]
    for name, text in RECIPES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(re.sub(r"^( *(?:module|root): )", rf"\1{tmp_path}/", text, flags=re.MULTILINE))
    own = tmp_path / "lpips_repro/evaluation/protocols"
    monkeypatch.setattr(protocols, "__path__", [*protocols.__path__, str(own)])
    import_protocols()
    yield [f"hydra.searchpath=[file://{tmp_path}/mine]", f"experiments={tmp_path}/out"]
    for name in [f"{protocols.__name__}.{file.stem}" for file in own.glob("*.py")]:
        del sys.modules[name]
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)


def rows(file: Path) -> dict[str, dict[str, str]]:
    with file.open(newline="") as content:
        return {row["label"]: row for row in csv.DictReader(content)}


def test_the_page_has_a_recipe_for_each_kind():
    kinds = {"metric", "net", "data", "task"} - {Path(name).parent.name for name in RECIPES if name.endswith(".yaml")}
    assert not kinds
    assert sum(name.startswith("lpips_repro/evaluation/protocols/") for name in RECIPES) == 3


def test_a_metric_a_backbone_a_dataset_and_a_second_score_are_in_the_tables(mine, tmp_path):
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8) for name in ("ref", "p0", "p1")}
    judge = np.array([0, 0.2, 0.4, 0.5, 0.6, 1] * 2)
    (tmp_path / "data/study").mkdir(parents=True)
    np.savez(tmp_path / "data/study/study.npz", **images, judge=judge)
    evaluate(settings("evaluate", *mine, "data=study", "metric=[l2_rgb,mae]", "net=[tiny]", *QUICK))
    d0, d1 = (np.abs(images["ref"] / 255 - images[name] / 255).mean(axis=(1, 2, 3)) for name in ("p0", "p1"))
    table = rows(tmp_path / "out/tables-study/twoafc.csv")
    assert table["mae"]["study"] == f"{100 * np.where(d1 < d0, judge, 1 - judge).mean():.2f}"
    assert table["mae"]["observers"] == "human"
    assert {row["group"] for row in table.values() if row["method"] == "tiny"} == {"random"}
    assert all(0 <= float(row["study"]) <= 100 for row in table.values())
    agreed = np.where(judge == 0.5, 0.5, (d1 < d0) == (judge > 0.5))
    majority = rows(tmp_path / "out/tables-study/majority.csv")
    assert majority["mae"]["study"] == f"{100 * agreed.mean():.2f}"
    assert {row["group"] for row in majority.values()} == {"low-level", "random"}


def test_a_new_question_has_its_own_table(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "FIELDS", IMAGE_FIELDS)
    monkeypatch.setattr(folders, "VOTE", VOTE_FIELD)
    _, images, votes = make_split(tmp_path / "data", kind="rating", split="mine", count=12)
    where = (f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed")
    evaluate(settings("evaluate", *mine, "data=folder", *where, "metric=[mae]", "net=[]", *QUICK))
    distances = np.abs(images["p0"] / 255 - images["p1"] / 255).mean(axis=(1, 2, 3))
    row = rows(tmp_path / "out/tables-folder/rating.csv")["mae"]
    assert row["mine"] == row["all"] == f"{-np.corrcoef(distances, votes)[0, 1]:.3f}"
    assert float(row["all_lo"]) <= float(row["all"]) <= float(row["all_hi"])


def test_a_column_is_the_mean_of_its_splits(mine):
    sharpness = PROTOCOLS["2afc-sharpness"]
    splits = ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")
    values = sharpness.add_averages(dict(zip(splits, (1, 2, 3, 5, 6, 7), strict=True)))
    assert tuple(values) == sharpness.columns(splits) == sharpness.columns_in_order
    assert (values["sharpness"], values["all"]) == (4, 4)


def test_a_task_is_trained_and_scored(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SCORED", 8)
    monkeypatch.setattr(crops, "LEAST_CROPS", {"train": 12, "held_out": 6})
    write_photographs(tmp_path / "photographs", 11)
    small = ("task.size=40", "task.side=32", "task.steps=2", "task.batch_size=4", "device=cpu", "workers=1")
    places = (f"images={tmp_path}/photographs", f"store={tmp_path}/store")
    pretrain(settings("pretrain", *mine, "task=rotation", *small, *places))
    learned = torch.load(tmp_path / "out/weights/squeeze-rotation.pth", weights_only=True)
    begun = TASKS["rotation"](seed=0, side=32, turns=4).backbone.state_dict()
    assert learned.keys() == begun.keys()
    assert not torch.equal(learned["features.0.weight"], begun["features.0.weight"])
