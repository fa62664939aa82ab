import importlib.metadata
import json
import signal

import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.devices import one_thread
from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.published import backbone_state
from lpips_repro.photographs import crops
from lpips_repro.pretraining import loop
from lpips_repro.pretraining import run as run_module
from lpips_repro.pretraining.run import pretrain
from lpips_repro.quoting import quoted
from lpips_repro.weights.state_dicts import digest_state
from tests.compose import settings
from tests.photographs.written import write_photographs
from tests.pretraining.tiny import TINY, tiny_settings


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(loop, "SCORED", 8)
    monkeypatch.setitem(crops.LEAST_CROPS, "train", 12)
    monkeypatch.setitem(crops.LEAST_CROPS, "held_out", 6)


def tiny_run(folder, task, *overrides):
    """Learn six steps from pictures in a folder; the file of the exported network."""
    if not (folder / "photographs").is_dir():
        write_photographs(folder / "photographs", 11)
    places = (f"images={folder}/photographs", f"store={folder}/store", f"experiments={folder}/experiments")
    pretrain(tiny_settings(task, *places, *overrides))
    return folder / f"experiments/weights/alex-{task}.pth"


@pytest.mark.parametrize("task", TINY)
def test_the_tables_have_a_row_of_what_was_learned(task, tmp_path):
    file = tiny_run(tmp_path, task)
    cfg = parse(settings("evaluate", f"net=[alex_{task}]", f"experiments={tmp_path}/experiments"), EvaluateConfig)
    net = cfg.net[f"alex-{task}"]
    state = backbone_state(net, 0, download=False)
    assert digest_state(state) == json.loads(file.with_suffix(".json").read_text())["weights"]
    x, y = torch.rand(2, 4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    distance = LPIPS(net.backbone, "off_the_shelf", "0.1", weights=state)(x, y, normalize=True)
    assert distance.isfinite().all()
    assert distance.min() > 0


def test_the_recipe_says_how_it_was_made(tmp_path):
    recipe = json.loads(tiny_run(tmp_path, "puzzle", "seed=3").with_suffix(".json").read_text())
    assert recipe["made"] == "trained here: 6 steps on 20 crops"
    assert (recipe["task"], recipe["backbone"], recipe["seed"]) == ("puzzle", "caffenet", 3)
    assert recipe["run"].startswith("pretrain-puzzle-seed3-")
    assert recipe["settings"]["steps"] == 6
    assert recipe["photographs"]["folder"] == f"{tmp_path}/photographs"
    assert len(recipe["photographs"]["sha256"]) == 64
    assert recipe["crops"] == {"train": 20, "held_out": 6}
    for phase in ("held_out", "train"):
        assert set(recipe[phase]) == {"accuracy"}
        assert recipe[phase]["accuracy"]["chance"] == 0.2
    assert recipe["seconds"] > 0
    assert recipe["versions"]["torch"] == importlib.metadata.version("torch")


def test_the_same_command_resumes_a_stopped_run(tmp_path, monkeypatch):
    whole = torch.load(tiny_run(tmp_path / "whole", "puzzle"), weights_only=True)

    right = run_module.make_task

    def stopped(cfg, seed):
        task = right(cfg, seed)
        learn, steps = task.loss, []

        def loss(given, wanted):
            steps.append(0)
            if len(steps) == 2:
                signal.raise_signal(signal.SIGINT)
            return learn(given, wanted)

        task.loss = loss
        return task

    monkeypatch.setattr(run_module, "make_task", stopped)
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path / "parts", "puzzle")
    (checkpoint,) = (tmp_path / "parts/experiments").glob("*/last.pt")
    assert torch.load(checkpoint, weights_only=True)["step"] == 2
    monkeypatch.setattr(run_module, "make_task", right)
    parts = torch.load(tiny_run(tmp_path / "parts", "puzzle"), weights_only=True)
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_finished_run_exports_again_and_learns_nothing(tmp_path, monkeypatch):
    file = tiny_run(tmp_path, "puzzle")
    first = file.read_bytes()
    tiny_run(tmp_path, "puzzle", "seed=1")
    assert file.read_bytes() != first
    monkeypatch.setattr(run_module, "fit", None)
    tiny_run(tmp_path, "puzzle")
    assert file.read_bytes() == first


@pytest.mark.parametrize("name", ["weights.pth", "weights.json"])
def test_damaged_weights_of_a_finished_run_are_written_again_without_learning(tmp_path, monkeypatch, name, caplog):
    first = tiny_run(tmp_path, "puzzle").read_bytes()
    (file,) = (tmp_path / "experiments").glob(f"pretrain-*/{name}")
    cut = file.read_bytes()[:100]
    file.write_bytes(cut)
    monkeypatch.setattr(loop.PretextStep, "__call__", None)
    assert tiny_run(tmp_path, "puzzle").read_bytes() == first
    assert file.with_name(f"{name}.damaged").read_bytes() == cut
    assert (
        "it or its recipe is damaged: kept as weights.pth.damaged, weights.json.damaged, and written again"
        in caplog.text
    )


def test_a_run_that_an_earlier_version_finished_writes_its_weights_again(tmp_path):
    first = tiny_run(tmp_path, "puzzle").read_bytes()
    (folder,) = (tmp_path / "experiments").glob("pretrain-*")
    content = torch.load(folder / "last.pt", weights_only=True)
    del content["seconds"]
    torch.save(content, folder / "last.pt")
    (folder / "weights.pth").unlink()
    assert tiny_run(tmp_path, "puzzle").read_bytes() == first
    assert json.loads((folder / "weights.json").read_text())["seconds"] is None


def test_an_edited_configuration_of_an_unfinished_run_is_kept(tmp_path, caplog):
    tiny_run(tmp_path, "puzzle")
    (file,) = (tmp_path / "experiments").glob("pretrain-*/config.yaml")
    right = file.read_text()
    file.write_text(right.replace("steps: 6", "steps: 7"))
    file.with_name("weights.pth").unlink()
    tiny_run(tmp_path, "puzzle")
    assert file.read_text() == right
    assert "steps: 7" in file.with_name("config.yaml.earlier").read_text()
    assert "differs from the command's settings (task.steps: 7, not 6)" in caplog.text


def test_weights_of_others_are_left_as_they_are(tmp_path, caplog):
    file = tmp_path / "experiments/weights/alex-puzzle.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"published")
    tiny_run(tmp_path, "puzzle")
    assert file.read_bytes() == b"published"
    assert "not made here, and not replaced" in caplog.text


@pytest.mark.parametrize("older", [None, "{}"])
def test_an_export_that_was_killed_before_its_recipe_is_completed(tmp_path, older, caplog):
    file = tiny_run(tmp_path, "puzzle")
    recipe = file.with_suffix(".json")
    expected = recipe.read_text()
    recipe.unlink()
    if older:
        recipe.write_text(older)
    assert tiny_run(tmp_path, "puzzle") == file
    assert recipe.read_text() == expected
    assert "not replaced" not in caplog.text


def test_it_is_reported_which_network_is_replaced(tmp_path, caplog):
    tiny_run(tmp_path, "puzzle")
    assert "is replaced" not in caplog.text
    tiny_run(tmp_path, "puzzle", "seed=1")
    assert "(trained here: 6 steps on 20 crops) is replaced: its command restores it" in caplog.text


def test_a_folder_spelt_otherwise_is_the_same_run(tmp_path, monkeypatch):
    first = tiny_run(tmp_path, "puzzle").read_bytes()
    monkeypatch.setattr(run_module, "fit", None)
    assert tiny_run(tmp_path / "photographs/..", "puzzle").read_bytes() == first


def test_other_photographs_are_another_run(tmp_path):
    tiny_run(tmp_path, "puzzle")
    files = sorted((tmp_path / "photographs").rglob("*.png"))
    files[0].unlink()
    with pytest.raises(UserError, match=r"photographs: was \w+, is \w+"):
        tiny_run(tmp_path, "puzzle")


def test_every_setting_that_changes_the_result_is_in_the_name(tmp_path):
    for overrides in ([], ["task.tile=24"], ["seed=1"], ["log_every=1"]):
        tiny_run(tmp_path, "puzzle", *overrides)
    names = sorted(path.name for path in (tmp_path / "experiments").glob("pretrain-*"))
    assert len(names) == 3
    assert [name[:21] for name in names] == ["pretrain-puzzle-seed0"] * 2 + ["pretrain-puzzle-seed1"]


def test_more_crops_a_step_than_there_are_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"task\.batch_size=50: there are only 20 crops"):
        tiny_run(tmp_path, "puzzle", "task.batch_size=50")


@pytest.mark.slow
@pytest.mark.parametrize("task", TINY)
def test_each_task_beats_chance_on_held_out_photographs(task, tmp_path, monkeypatch):
    # As `make pretrain` comes, on the photographs of mini: 1 to 8 minutes.
    for phase, count in (("train", 1000), ("held_out", 200)):
        monkeypatch.setitem(crops.LEAST_CROPS, phase, count)
    monkeypatch.setattr(loop, "SCORED", 1000)
    with one_thread():
        pretrain(
            settings("pretrain", f"task={task}", f"store={tmp_path}/store", f"experiments={tmp_path}", "device=cpu")
        )
    found = json.loads((tmp_path / f"weights/alex-{task}.json").read_text())["held_out"]
    names = {"splitbrain": ("chroma_matched", "lightness_matched"), "puzzle": ("accuracy",)}.get(task, tuple(found))
    for name in names:
        # Of puzzles and BiGAN three deviations of a thousand guesses; places that are matched are many more.
        chance = found[name]["chance"]
        least = 0.01 if task == "splitbrain" else 3 * (chance * (1 - chance) / 1000) ** 0.5
        assert found[name]["value"] > chance + least, found


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.batch_size=50", "task.batch_size=50: there are only 20 crops"),
        ("store={}/file/x", "file/x: Not a directory: .* set store=FOLDER"),
        ("experiments={}/file/x", "file/x/weights: Not a directory: .* set experiments=FOLDER"),
    ],
)
def test_what_is_cheap_to_find_is_found_before_photographs_are_read(tmp_path, monkeypatch, override, message):
    monkeypatch.setattr(run_module, "stored_crops", lambda *_: pytest.fail("read"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        tiny_run(tmp_path, "puzzle", override.format(tmp_path))


@pytest.mark.usefixtures("versions_read_again")
def test_packages_of_another_name_do_not_end_a_run_at_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("lpips_repro.versions.importlib.metadata.version", not_installed)
    recipe = json.loads(tiny_run(tmp_path, "puzzle").with_suffix(".json").read_text())
    assert recipe["versions"]["pillow"] is None


def not_installed(package):
    raise importlib.metadata.PackageNotFoundError(package)


def test_the_folder_of_photographs_may_have_any_name(tmp_path):
    name = "it's ${b} \\${c} $b=,[x"
    write_photographs(tmp_path / name, 11)
    places = (f"images={quoted(str(tmp_path / name))}", f"store={tmp_path}/s", f"experiments={tmp_path}/e")
    pretrain(tiny_settings("puzzle", *places))
    (recipe,) = (tmp_path / "e/weights").glob("*.json")
    assert json.loads(recipe.read_text())["photographs"]["folder"] == str(tmp_path / name)
