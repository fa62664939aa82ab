import re

import pytest

from lpips_repro.pretraining.run_name import run_name
from tests.compose import settings


def name(task, *overrides):
    return run_name(settings("pretrain", f"task={task}", *overrides))


@pytest.mark.parametrize("task", ["splitbrain", "puzzle", "bigan"])
def test_default_settings_have_the_plain_name(task):
    assert name(task) == f"pretrain-{task}-seed0"


@pytest.mark.parametrize(
    ("task", "overrides", "expected"),
    [
        ("splitbrain", ("task.beta1=0.8",), "pretrain-splitbrain-seed0-1d719958"),
        ("puzzle", ("seed=2", "images=photographs"), "pretrain-puzzle-seed2-ac99c9bf"),
        ("bigan_imagenet", (), "pretrain-bigan-seed0-bd25dae4"),
    ],
)
def test_names_of_runs_made_before_the_optimizer_was_a_setting_hold(task, overrides, expected):
    assert name(task, *overrides) == expected


@pytest.mark.parametrize("override", ["optimizer=sgd", "schedule=released", "precision=bfloat16", "compile=true"])
def test_a_setting_that_changes_the_result_adds_a_hash(override):
    assert re.fullmatch(r"pretrain-puzzle-seed0-[0-9a-f]{8}", name("puzzle", override))
