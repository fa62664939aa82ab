from pathlib import Path

import pytest

from lpips_repro.config import PaperConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.paper.steps import steps_of
from lpips_repro.training.run_name import run_name
from tests.compose import settings


def steps(*overrides):
    composed = settings("paper", *overrides)
    return steps_of(parse(composed, PaperConfig), composed.data)


def test_the_steps_are_data_weights_nine_trainings_and_tables():
    names = [step.name for step in steps()]
    nine = [
        f"train {net} {variant} seed 0" for net in ("alex", "squeeze", "vgg") for variant in ("lin", "tune", "scratch")
    ]
    assert names == ["dataset", "weights", *nine, "tables", "Figure 5", "Figure 10", "report"]


def test_each_step_is_a_script_with_valid_settings():
    scripts = {"data": "dataset", "evaluate": "evaluate", "weights": "weights", "train": "train"}
    scripts |= {"correlation": "correlation", "sparsity": "sparsity", "report": "report"}
    for step in steps("experiment=paper_mini", "data.root=/my data", "experiments=/my results", "seeds=[0,3]"):
        assert Path(step.command[1]).is_file()
        composed = settings(scripts[step.script], *step.overrides)
        assert composed.experiments == "/my results"
        if "data" in composed:
            assert (composed.data.name, composed.data.root, composed.data.val) == ("mini", "/my data", 24)


def test_a_training_is_done_if_its_run_is_finished(tmp_path):
    found = next(step for step in steps(f"experiments={tmp_path}", "train=['trainer.epochs=1']") if step.trains)
    folder = tmp_path / run_name(settings("train", *found.overrides))
    assert not found.is_done
    folder.mkdir()
    (folder / "summary.json").write_text("{}")
    assert found.is_done


def test_no_step_downloads_if_download_is_false():
    found = steps("download=false")
    assert "weights" not in [step.name for step in found]
    assert all("download=false" in step.overrides for step in found if step.script in ("train", "evaluate", "sparsity"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds=[]", r"seeds=\[\]: expected at least one"),
        ("nets=[alex,alex]", "none twice"),
        ("variants=[of_the_shelf]", "expected one of lin, tune, scratch"),
        ("seeds=[-1]", "seeds=-1: expected an integer"),
        ("name=a/b", "name=a/b: expected letters"),
    ],
)
def test_invalid_settings_are_errors(override, message):
    with pytest.raises(UserError, match=message):
        parse(settings("paper", override), PaperConfig)
