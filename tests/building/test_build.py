"""From a folder of photographs to a dataset without judgments."""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lpips_repro.building import build as module
from lpips_repro.building import durable_files
from lpips_repro.building.build import build_dataset
from lpips_repro.building.examples import rebuild
from lpips_repro.building.patches import Crop
from lpips_repro.building.recipes import read_recipes
from lpips_repro.config import checks
from lpips_repro.datasets.packing.layout import find_splits
from lpips_repro.distortions import DISTORTIONS, paper_pairs
from lpips_repro.distortions.family import Application
from lpips_repro.distortions.traditional import Traditional
from lpips_repro.errors import UserError
from lpips_repro.files import locks
from tests.building.conftest import FEW, build, digests, pixels, write_photographs
from tests.cnn_distortions.tiny import write_tiny
from tests.compose import CONFIGS, settings

SPLITS = {"2afc/train/traditional": 12, "2afc/val/traditional": 6, "jnd/val/traditional": 6}


def recipes_of(root):
    return {split: read_recipes(root / split / "recipes.parquet") for split in SPLITS}


def test_the_layout_is_that_of_bapps_without_judgments(built):
    for split, count in SPLITS.items():
        fields = ("p0", "p1") if split.startswith("jnd") else ("ref", "p0", "p1")
        assert sorted(path.name for path in (built / split).iterdir()) == sorted(
            [*fields, "recipes.parquet", "sizes.json"]
        )
        for field in fields:
            files = sorted((built / split / field).iterdir())
            assert [file.name for file in files] == [f"{index:06d}.png" for index in range(count)]
            assert {pixels(file).shape for file in files} == {(64, 64, 3)}
    assert not (built / ".building").exists()


def test_every_example_is_rebuilt_to_the_bit_from_its_recipe_alone(built, photographs):
    for split, count in SPLITS.items():
        recipes = read_recipes(built / split / "recipes.parquet")
        assert len(recipes) == count
        for recipe in reversed(recipes):
            assert recipe.split == split
            for field, image in rebuild(recipe, photographs).items():
                assert np.array_equal(image, pixels(built / split / field / f"{recipe.name}.png"))


def test_a_recipe_of_another_photograph_or_with_other_pixels_is_refused(built, photographs, tmp_path):
    recipe = read_recipes(built / "2afc/val/traditional/recipes.parquet")[0]
    with pytest.raises(UserError, match=f"{recipe.image}: no such file, but examples are made from it"):
        rebuild(recipe, tmp_path)
    shutil.copytree(photographs, tmp_path / "other")
    Image.new("RGB", (150, 130)).save(tmp_path / "other" / recipe.image, "PNG")
    with pytest.raises(UserError, match=f"{recipe.image}: has changed since it was examined"):
        rebuild(recipe, tmp_path / "other")
    with pytest.raises(UserError, match="000000: made again, it has other pixels"):
        rebuild(dataclasses.replace(recipe, crop=recipe.crop._replace(mirrored=not recipe.crop.mirrored)), photographs)


@pytest.mark.parametrize(
    ("edited", "message"),
    [
        ({"crop": Crop(5000, 0, 96, False)}, r"Crop\(left=5000, .*\) is not a square inside"),
        ({"crop": Crop(0, -1, 96, False)}, "is not a square inside"),
        ({"crop": Crop(0, 0, 0, False)}, "is not a square inside"),
        ({"margin": -40}, "is not a square inside"),
        ({"p1": (Application("other", "jpeg", {"severity": 0.5}, 1),)}, "no family 'other' of distortions: expected"),
        ({"p1": (Application("traditional", "jpg", {"severity": 0.5}, 1),)}, "no distortion 'jpg'"),
        ({"p1": (Application("traditional", "jpeg", {}, 1),)}, "severity None of jpeg"),
        ({"p1": (Application("traditional", "jpeg", {"severity": "x"}, 1),)}, "severity x of jpeg"),
    ],
)
def test_an_invalid_recipe_is_named(built, photographs, edited, message):
    recipe = dataclasses.replace(read_recipes(built / "2afc/val/traditional/recipes.parquet")[0], **edited)
    with pytest.raises(UserError, match=message):
        rebuild(recipe, str(photographs))


def test_train_and_val_use_different_photographs(built):
    of = {split: {recipe.image for recipe in recipes} for split, recipes in recipes_of(built).items()}
    assert len(of["2afc/train/traditional"]) == 4
    assert of["2afc/val/traditional"] == of["jnd/val/traditional"]
    assert not of["2afc/train/traditional"] & of["2afc/val/traditional"]


def test_no_two_examples_use_the_same_square(built):
    squares = [(recipe.image, recipe.crop) for recipes in recipes_of(built).values() for recipe in recipes]
    assert len(set(squares)) == len(squares)


def test_every_reference_has_the_least_contrast_and_its_place_in_the_photograph(built, photographs):
    for recipe in recipes_of(built)["2afc/train/traditional"]:
        ref = pixels(built / recipe.split / "ref" / f"{recipe.name}.png") / 255
        assert ref.mean(axis=2).std() > 0.068  # 0.07 before it was rounded to 8 bits
        with Image.open(photographs / recipe.image) as image:
            left, top, side, mirrored = recipe.crop
            area = image.convert("RGB").crop((left, top, left + side, top + side))
        assert area.size == (side, side)
        small = np.asarray(area.resize((96, 96), Image.Resampling.BOX)) / 255
        shown = small[:, ::-1] if mirrored else small
        assert np.corrcoef(shown[16:-16, 16:-16].ravel(), ref.ravel())[0, 1] > 0.8


def test_candidates_have_the_papers_distortions_and_pairs_within_the_severities(built):
    names = set()
    for split, recipes in recipes_of(built).items():
        low, high = (0, 0.35) if split.startswith("jnd") else (0.2, 0.8)
        for recipe in recipes:
            if split.startswith("jnd"):
                assert recipe.p0 == ()
            for steps in filter(None, (recipe.p0, recipe.p1)):
                assert len(steps) == 1 or tuple(step.name for step in steps) in paper_pairs()
                assert all(low <= step.parameters["severity"] <= high for step in steps)
                assert {step.family for step in steps} == {"traditional"}
                names |= {step.name for step in steps}
    assert len(names) > 10 and names <= {*DISTORTIONS}


def test_a_jnd_pair_is_the_reference_and_a_distorted_one(built, photographs):
    for recipe in recipes_of(built)["jnd/val/traditional"]:
        p0, p1 = (pixels(built / recipe.split / field / f"{recipe.name}.png") for field in ("p0", "p1"))
        plain = dataclasses.replace(recipe, p1=(), pixels_sha256="")
        assert np.array_equal(rebuild(plain, photographs)["p1"], p0)
        assert not np.array_equal(p0, p1)


def test_the_card_says_what_severities_are_and_holds_no_path(built, photographs):
    text = (built / "dataset.json").read_text()
    card = json.loads(text)
    assert card["settings"]["seed"] == 0 and card["settings"]["splits"] == ["traditional"]
    assert {name: [tuple(amount.values()) for amount in amounts] for name, amounts in card["severity"].items()} == {
        name: [tuple(amount) for amount in distortion.amounts] for name, distortion in DISTORTIONS.items()
    }
    for file in (text, (built / "photographs.csv").read_text()):
        assert str(photographs) not in file and str(built) not in file


@contextlib.contextmanager
def backwards(*_):
    """A map that processes the last item first."""
    yield lambda function, items: [function(item) for item in [*items][::-1]][::-1]


def test_the_same_seed_gives_the_same_bytes_in_any_order_of_chunks(built, photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 4)
    monkeypatch.setattr(module, "map_over_processes", backwards)
    assert digests(build(photographs, tmp_path / "again")) == digests(built)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_processes(built, photographs, tmp_path):
    assert digests(build(photographs, tmp_path / "again", "workers=2")) == digests(built)


def test_another_seed_gives_other_examples(built, photographs, tmp_path):
    other, known = digests(build(photographs, tmp_path / "other", "seed=1")), digests(built)
    assert other.keys() == known.keys()
    assert not {other[name] for name in other if name.endswith(".png")} & {*known.values()}


class Killed(BaseException):
    """Stands for the end of the process."""


def test_finished_work_survives_interruptions_and_the_result_is_the_same(built, photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 4)
    out, write, written = tmp_path / "resumed", module.write_recipes, []

    def write_or_die(path, recipes):
        written.append(path)
        if len(written) in (3, 5, 8):  # inside a split, before its last step, and inside the next split
            raise Killed
        write(path, recipes)

    monkeypatch.setattr(module, "write_recipes", write_or_die)
    kept = {}
    for _ in range(3):
        with pytest.raises(Killed):
            build(photographs, out)
        finished = {path: path.stat().st_mtime_ns for path in (out / ".building").rglob("*.parquet")}
        assert finished
        assert all(finished.get(path, time) == time for path, time in kept.items())
        kept = finished
        assert not [*out.glob("2afc/val/*")]  # a split is either complete or absent
    build(photographs, out)
    assert digests(out) == digests(built)


def test_the_next_command_can_be_pasted_for_any_name_of_the_folder(photographs, tmp_path, capsys):
    build(photographs, tmp_path / "my own", "train=1", "val=0", "jnd=0")
    command = f"make simulate OUT='{tmp_path}/my own'"
    assert f"`{command}`" in capsys.readouterr().out
    with pytest.raises(UserError, match=command):
        find_splits(tmp_path / "my own", "train")


def test_hidden_files_of_an_emptied_folder_are_not_used_again(built, photographs, tmp_path, monkeypatch):
    """`rm -r FOLDER/*` leaves hidden files."""

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(module.Path, "rename", killed)
        with pytest.raises(Killed):
            build(photographs, tmp_path, "seed=1")
    assert [*tmp_path.glob(".building/*/p0/*.png")]
    shutil.rmtree(tmp_path / "2afc")
    for name in ("dataset.json", "photographs.csv"):
        (tmp_path / name).unlink()
    build(photographs, tmp_path)
    assert digests(tmp_path) == digests(built)


def test_the_same_command_makes_nothing_if_the_dataset_is_complete(photographs, tmp_path):
    out = build(photographs, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.p*")}
    build(photographs, out, "workers=2")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.p*")} == before


def test_a_complete_dataset_needs_no_permission_to_write(built, photographs, monkeypatch, capsys):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(locks.FileLock, "acquire", refuse)
    monkeypatch.setattr(checks.tempfile, "TemporaryFile", refuse)
    build(photographs, built)
    assert f"{built}: complete: 2afc/train/traditional (12), " in capsys.readouterr().out
    with pytest.raises(UserError, match="was begun with seed 0, now it is 1"):
        build(photographs, built, "seed=1")


def test_a_chunk_is_on_the_disk_before_it_counts_as_finished(photographs, tmp_path, monkeypatch):
    """Otherwise a power failure could leave it without its images."""
    written, sync, write = [], durable_files.sync, module.write_recipes

    def synced(path):
        sync(path)
        written.append(path.relative_to(tmp_path / "out"))

    def recipes_written(path, recipes):
        written.append(path.relative_to(tmp_path / "out"))
        write(path, recipes)

    monkeypatch.setattr(durable_files, "sync", synced)
    monkeypatch.setattr(module, "write_recipes", recipes_written)
    build(photographs, tmp_path / "out", "val=0", "jnd=0", "train=3")
    folder = Path(".building/2afc-train-traditional")
    finished = written.index(folder / "finished/000000.parquet")
    images = {folder / field / f"{number:06d}.png" for field in ("ref", "p0", "p1") for number in range(3)}
    assert images | {image.parent for image in images} <= {*written[:finished]}
    assert {folder, folder / "recipes.parquet"} <= {*written[finished:]}
    assert {Path(name) for name in ("2afc/train/traditional", "2afc/train", "2afc", ".")} <= {*written[finished:]}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=1", "was begun with seed 0, now it is 1: change it back, or set out=NEW"),
        ("train=13", "was begun with train 12, now it is 13"),
        ("severity_jnd=[0.1,0.35]", r"was begun with severity_jnd \[0.0, 0.35\], now it is \[0.1, 0.35\]"),
    ],
)
def test_other_settings_are_refused(built, photographs, override, message):
    with pytest.raises(UserError, match=message):
        build(photographs, built, override)


def test_other_photographs_are_refused(built, tmp_path):
    more = write_photographs(tmp_path / "more", 6)
    with pytest.raises(UserError, match="was begun with number of photographs 5, now it is 6"):
        build(more, built)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("dataset.json", "[]", "dataset.json: not a readable card of a dataset: restore it"),
        ("dataset.json", "[" * 100_000, "dataset.json: not a readable card of a dataset: restore it"),
        ("dataset.json", '{"settings": []}', "dataset.json: not a readable card of a dataset: restore it"),
        ("photographs.csv", "name\n", "photographs.csv: no photograph of train in it: restore the file"),
        ("photographs.csv", "name,width\na,b\n", "photographs.csv: not readable"),
        ("photographs.csv", "name,width,height\na,1_0,20\n", "photographs.csv: not readable .*'1_0'"),
        ("photographs.csv", f"name,width,height\n{'a' * 200_000},10,20\n", "photographs.csv: not readable"),
    ],
)
def test_a_damaged_file_of_the_dataset_is_named(photographs, tmp_path, monkeypatch, file, content, message):
    with monkeypatch.context() as patched:
        patched.setattr(module, "_make_split", lambda *_: None)
        build(photographs, tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=message):
        build(photographs, tmp_path)


def test_a_dataset_begun_by_another_version_says_so_until_it_is_complete(photographs, built, tmp_path, monkeypatch):
    begun = tmp_path / "begun"
    with monkeypatch.context() as patched:
        patched.setattr(module, "_make_split", lambda *_: None)
        build(photographs, begun)
    monkeypatch.setattr(Traditional, "digest", "0" * 64)
    wanted = r"was begun with different code of the traditional distortions \(digest \w{12}, now 000000000000\): finish"
    with pytest.raises(UserError, match=wanted):
        build(photographs, begun)
    build(photographs, built)


def test_a_photograph_that_changes_during_the_build_is_named(photographs, tmp_path, monkeypatch):
    images = shutil.copytree(photographs, tmp_path / "images")
    monkeypatch.setattr(module, "_make_split", lambda *_: None)
    build(images, tmp_path / "out")
    monkeypatch.undo()
    for file in images.rglob("*.png"):
        Image.open(file).transpose(Image.Transpose.ROTATE_180).save(file)
    with pytest.raises(UserError, match=r"\d.png: has changed since it was examined"):
        build(images, tmp_path / "out")


def test_a_folder_that_holds_something_else_is_left_alone(photographs, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes.txt and no dataset built here"):
        build(photographs, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("splits=[cnn]",), "cnn and mix need trained autoencoders: set cnn=FOLDER"),
        (("splits=[]",), "expected some of traditional, cnn, mix"),
        (("splits=[traditional,traditional]",), "expected some of"),
        (("size=8",), "size=8: expected an integer of at least 16"),
        (("margin=-1",), "margin=-1"),
        (("severity_2afc=[0.8,0.2]",), r"severity_2afc=\[0.8,0.2\]: expected two numbers in \[0, 1\]"),
        (("severity_2afc=[0.8]",), "expected two numbers"),
        (("val_share=1.0",), "val_share=1.0"),
        (("contrast=nan",), "contrast=nan"),
        (("train=0", "val=0", "jnd=0"), "nothing to build"),
        (("train=0", "splits=[mix]", "cnn=any"), "nothing to build: mix is only for train"),
        (("workers=0",), "workers=0"),
    ],
)
def test_invalid_settings_are_one_clear_error(photographs, tmp_path, overrides, message):
    with pytest.raises(UserError, match=message):
        build(photographs, tmp_path / "out", *overrides)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("given", "message"), [("out=x", "IMAGES=FOLDER"), ("images=x", "OUT=FOLDER")])
def test_a_missing_folder_is_named_by_its_make_variable(given, message):
    with pytest.raises(UserError, match=f"no value: set {message}"):
        build_dataset(settings("build_dataset", given))


def test_a_dataset_inside_the_folder_of_photographs_is_refused(photographs):
    with pytest.raises(UserError, match="is inside the folder of photographs"):
        build(photographs, photographs / "out")
    assert not (photographs / "out").exists()


@pytest.mark.parametrize("size", [32, 96])
def test_patches_have_other_sizes_and_some_splits_are_left_out(photographs, tmp_path, size):
    out = build(photographs, tmp_path / "out", f"size={size}", "margin=4", "val=0", "train=3", "jnd=2")
    assert sorted(str(path.relative_to(out)) for path in out.glob("*/*/*")) == [
        "2afc/train/traditional",
        "jnd/val/traditional",
    ]
    assert pixels(out / "jnd/val/traditional/p1/000001.png").shape == (size, size, 3)


@pytest.mark.slow
def test_a_killed_process_loses_nothing_that_was_finished(photographs, tmp_path):
    def start(out):
        words = [sys.executable, "scripts/build_dataset.py", f"images={photographs}", f"out={out}", *FEW, "train=1500"]
        return subprocess.Popen(words, cwd=CONFIGS.parent, stdout=subprocess.DEVNULL)

    out = tmp_path / "killed"
    process = start(out)
    while len(finished := [*out.glob(".building/*/finished/*.parquet")]) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    times = {file: file.stat().st_mtime_ns for file in finished}
    process = start(out)
    while process.poll() is None:
        assert all(not file.exists() or file.stat().st_mtime_ns == times[file] for file in times)
        time.sleep(0.02)
    assert start(tmp_path / "whole").wait() == 0
    assert digests(out) == digests(tmp_path / "whole")


@pytest.fixture(scope="module")
def autoencoders(tmp_path_factory):
    """Two tiny autoencoders with random weights, and one that is left out."""
    folder = tmp_path_factory.mktemp("autoencoders")
    for seed, name in enumerate(("one", "two")):
        write_tiny(folder / name, seed=seed)
    write_tiny(folder / "dull", left_out="constant")
    return folder


def test_autoencoders_distort_alone_and_next_to_the_traditional_ones(photographs, autoencoders, tmp_path):
    every = ("splits=[traditional,cnn,mix]", f"cnn={autoencoders}")
    out = build(photographs, tmp_path / "out", *every)
    splits = sorted(str(path.relative_to(out)) for path in out.glob("*/*/*"))
    assert splits == [
        *(f"2afc/train/{name}" for name in ("cnn", "mix", "traditional")),
        *(f"{kind}/val/{name}" for kind in ("2afc", "jnd") for name in ("cnn", "traditional")),
    ]
    for split in splits:
        recipes = read_recipes(out / split / "recipes.parquet")
        for recipe in recipes:
            families = [{step.family for step in steps} for steps in (recipe.p0, recipe.p1) if steps]
            if split.endswith("mix"):
                assert sorted(families, key=str) == [{"cnn"}, {"traditional"}]
            else:
                assert set().union(*families) == {split.rpartition("/")[2]}
        used = {step.name for recipe in recipes for step in recipe.p0 + recipe.p1 if step.family == "cnn"}
        assert used <= {"one", "two"}
        for field, image in rebuild(recipes[3], photographs, str(autoencoders)).items():
            assert np.array_equal(image, pixels(out / split / field / "000003.png"))
    assert {recipe.p0[0].family for recipe in read_recipes(out / "2afc/train/mix/recipes.parquet")} == {
        "cnn",
        "traditional",
    }
    (first, *_) = read_recipes(out / "2afc/val/cnn/recipes.parquet")
    with pytest.raises(UserError, match="2afc/val/cnn/000000: distorted by autoencoders: set cnn to their folder"):
        rebuild(first, photographs)


def test_the_two_candidates_of_a_triplet_come_from_two_autoencoders(photographs, autoencoders, tmp_path):
    """An autoencoder that adds no noise would make two equal images."""
    out = build(photographs, tmp_path / "out", "splits=[cnn]", f"cnn={autoencoders}", "jnd=0", "val=0")
    recipes = read_recipes(out / "2afc/train/cnn/recipes.parquet")
    assert all({step.name for step in recipe.p0 + recipe.p1} == {"one", "two"} for recipe in recipes)
    write_tiny(tmp_path / "alone/one")
    with pytest.raises(UserError, match=r"only one autoencoder distorts, and a triplet of 2afc/train/cnn needs two"):
        build(photographs, tmp_path / "other", "splits=[mix,cnn]", f"cnn={tmp_path}/alone")
    assert not (tmp_path / "other").exists()
    build(photographs, tmp_path / "other", "splits=[mix]", f"cnn={tmp_path}/alone", "val=0", "jnd=0")


def test_a_dataset_that_was_begun_with_other_autoencoders_is_refused(photographs, autoencoders, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_make_split", lambda *_: None)
    build(photographs, tmp_path / "out", "splits=[cnn]", f"cnn={autoencoders}")
    others = tmp_path / "others"
    for seed, name in ((3, "three"), (4, "four")):
        write_tiny(others / name, seed=seed)
    with pytest.raises(UserError, match=r"was begun with different autoencoders \(digest \w{12}, now \w{12}\): finish"):
        build(photographs, tmp_path / "out", "splits=[cnn]", f"cnn={others}")
    with pytest.raises(UserError, match="no autoencoders that distort"):
        build(photographs, tmp_path / "new", "splits=[cnn]", f"cnn={tmp_path}/missing")
