import pytest

from lpips_repro.config import PretrainConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.pretraining.run import make_task
from lpips_repro.pretraining.tasks import TASKS
from tests.compose import CONFIGS, settings


@pytest.mark.parametrize("task", sorted(path.stem for path in (CONFIGS / "task").glob("*.yaml")))
def test_every_task_composes_and_its_networks_fit(task):
    cfg = parse(settings("pretrain", f"task={task}"), PretrainConfig)
    assert isinstance(make_task(cfg.task, cfg.seed), TASKS[cfg.task.name])


def test_without_a_task_there_is_one_so_that_help_can_be_had():
    assert settings("pretrain").task.name == "splitbrain"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+task.permutation=10", "task.permutation: unknown setting: expected one of task.name, .*task.permutations"),
        ("+image=folder", "image: unknown setting: expected one of task, images"),
        ("task.name=jigsaw", "task.name='jigsaw': expected one of bigan, puzzle, splitbrain"),
        ("task.permutations=1", "task.permutations=1: expected an integer from 2 to 2000"),
        ("task.permutations=many", "task.permutations=many: expected a value of type integer"),
        ("task.tile=22", "task.tile=22: expected an integer of at least 23"),
        ("task.tile=40", "task.side=120: expected an integer of at least 123"),
        ("task.size=119", "task.size=119: expected an integer of at least 120"),
        ("task.steps=0", "task.steps=0: expected an integer of at least 1"),
        ("task.batch_size=1", "task.batch_size=1: expected an integer of at least 2"),
        ("task.learning_rate=0", "task.learning_rate=0.0: expected a positive number"),
        ("task.learning_rate=nan", "task.learning_rate=nan: expected a positive number"),
        ("task.beta1=1", "task.beta1=1.0: expected a number of at least 0 and below 1"),
        ("seed=-1", "seed=-1: expected an integer"),
        ("workers=0", "workers=0: expected an integer from 1 to 1024"),
        ("log_every=0", "log_every=0: expected an integer of at least 1"),
        ("checkpoint_minutes=0", "checkpoint_minutes=0.0: expected a positive number"),
        ("device=gpu", "device=gpu: expected one of auto, cpu, cuda"),
    ],
)
def test_what_is_misspelled_or_out_of_range_is_refused(override, message):
    with pytest.raises(UserError, match=message):
        parse(settings("pretrain", "task=puzzle", override), PretrainConfig)


@pytest.mark.parametrize("side", [34, 64, 98])
def test_pictures_that_conv5_does_not_fit_are_refused(side):
    with pytest.raises(UserError, match=f"task.side={side}: expected 35, 51, 67"):
        parse(settings("pretrain", "task=splitbrain", f"task.side={side}"), PretrainConfig)


def test_the_generator_has_one_size():
    with pytest.raises(UserError, match=r"task\.side=60: expected 64"):
        parse(settings("pretrain", "task=bigan", "task.side=60"), PretrainConfig)
