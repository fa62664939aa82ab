"""A pretext task is one Python file and one YAML."""

import json
import shutil

import pytest
import torch

from lpips_repro.config import PretrainConfig, parse
from lpips_repro.config.choices import SETTINGS
from lpips_repro.errors import UserError
from lpips_repro.photographs import crops
from lpips_repro.pretraining import loop
from lpips_repro.pretraining import run as run_module
from lpips_repro.pretraining.run import pretrain
from lpips_repro.pretraining.tasks import TASKS, PretextTask, register_task
from lpips_repro.provenance import own_code
from tests.compose import CONFIGS, settings
from tests.photographs.written import write_photographs

ROTATION = '''
"""By how many quarter turns a picture was rotated (Gidaris, Singh, Komodakis, ICLR 2018)."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from lpips_repro.config import TaskConfig
from lpips_repro.pretraining.tasks import PretextTask, Score, register_task
from lpips_repro.pretraining.tasks.task import draw_views


@dataclass
class RotationSettings(TaskConfig):
    turns: int


@register_task("rotation", RotationSettings)
class Rotation(PretextTask):
    shown = ("accuracy",)
    scores = ("accuracy",)

    def __init__(self, *, seed, side, turns):
        super().__init__("squeeze", seed)
        self.side, self.turns = side, turns
        self.top = nn.Linear(self.backbone.spec.channels[-1], turns)

    def draw(self, crops, generator):
        wanted = torch.randint(self.turns, (len(crops),), generator=generator).to(crops.device)
        views = draw_views(crops, self.side, generator)
        turned = [view.rot90(int(turns), (1, 2)) for view, turns in zip(views, wanted)]
        return torch.stack(turned), wanted

    def logits(self, given):
        return self.top(self.backbone(given)[-1].mean(dim=(2, 3)))

    def loss(self, given, wanted):
        logits = self.logits(given)
        return functional.cross_entropy(logits, wanted), {"accuracy": (logits.argmax(1) == wanted).float().mean()}

    def score(self, given, wanted):
        right = (self.logits(given).argmax(1) == wanted).float().mean().item()
        return {"accuracy": Score(right, 1 / self.turns)}
'''
YAML = """
name: rotation
module: {folder}/rotation.py
size: 40
side: 32
turns: 4
steps: 2
batch_size: 4
learning_rate: 1e-3
beta1: 0.9
"""


@pytest.fixture
def rotation(tmp_path, monkeypatch) -> list[str]:
    """Overrides that choose a task that is two files in a folder, to be learned from a few photographs."""
    monkeypatch.setattr(loop, "SCORED", 8)
    monkeypatch.setattr(crops, "LEAST_CROPS", {"train": 12, "held_out": 6})
    (tmp_path / "mine/task").mkdir(parents=True)
    (tmp_path / "mine/rotation.py").write_text(ROTATION)
    (tmp_path / "mine/task/rotation.yaml").write_text(YAML.format(folder=tmp_path / "mine"))
    write_photographs(tmp_path / "photographs", 11)
    places = [f"images={tmp_path}/photographs", f"store={tmp_path}/store", f"experiments={tmp_path}/out"]
    yield [f"hydra.searchpath=[file://{tmp_path}/mine]", "task=rotation", "device=cpu", "workers=1", *places]
    _forget()


def _forget():
    TASKS.pop("rotation", None)
    SETTINGS["task"].pop("rotation", None)


def test_a_task_is_one_python_file_and_one_yaml(rotation, tmp_path):
    pretrain(settings("pretrain", *rotation))
    recipe = json.loads((tmp_path / "out/weights/squeeze-rotation.json").read_text())
    assert (recipe["backbone"], recipe["settings"]["turns"]) == ("squeeze", 4)
    assert recipe["held_out"]["accuracy"]["chance"] == 0.25
    learned = torch.load(tmp_path / "out/weights/squeeze-rotation.pth", weights_only=True)
    begun = TASKS["rotation"](seed=0, side=32, turns=4).backbone.state_dict()
    assert learned.keys() == begun.keys()
    assert not torch.equal(learned["features.0.weight"], begun["features.0.weight"])


def test_the_same_file_at_another_path_is_the_same_run(rotation, tmp_path, monkeypatch):
    pretrain(settings("pretrain", *rotation))
    shutil.copy(tmp_path / "mine/rotation.py", tmp_path / "moved.py")
    monkeypatch.setattr(run_module, "fit", None)  # nothing is learned again
    moved = f"task.module={tmp_path}/moved.py"
    _forget()
    pretrain(settings("pretrain", *rotation, moved))
    assert len(list((tmp_path / "out").glob("pretrain-rotation-*"))) == 1


def test_an_edited_file_is_another_run_than_that_which_was_begun(rotation, tmp_path):
    pretrain(settings("pretrain", *rotation))
    (tmp_path / "mine/rotation.py").write_text(ROTATION.replace("rot90", "roll"))
    with pytest.raises(UserError, match=r"not the run that was started there:\n  code of the task: was \w+, is \w+\n"):
        pretrain(settings("pretrain", *rotation))


def test_the_code_of_tasks_of_the_package_is_no_part_of_a_run():
    assert {own_code(task) for task in TASKS.values()} == {""}


def test_its_settings_are_its_own(rotation):
    with pytest.raises(UserError, match=r"task.trns: unknown setting: .*did you mean task.turns"):
        parse(settings("pretrain", *rotation, "+task.trns=3"), PretrainConfig)


def test_a_file_that_is_not_there_is_named(rotation, tmp_path):
    (tmp_path / "mine/rotation.py").unlink()
    with pytest.raises(UserError, match=r"mine/rotation.py: no such file: set `module` of a task to the Python file"):
        parse(settings("pretrain", *rotation), PretrainConfig)


def test_a_name_that_is_taken_is_refused():
    puzzle = TASKS["puzzle"]
    with pytest.raises(UserError, match="task 'puzzle' is already registered: give yours another name"):
        register_task("puzzle", object)(PretextTask)
    assert TASKS["puzzle"] is puzzle


def test_every_task_of_the_package_has_a_yaml_of_its_name():
    names = {path.stem for path in (CONFIGS / "task").glob("*.yaml")}
    assert {name for name in names if not name.endswith("_imagenet")} == set(TASKS)
