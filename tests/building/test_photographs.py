"""The photographs that are used, and their phases."""

import csv
import io
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from lpips_repro.building import photographs as module
from lpips_repro.building.card import _read_photographs
from lpips_repro.building.near_copies import near_copies, thumbnail_of
from lpips_repro.building.photographs import choose_photographs, list_photographs
from lpips_repro.config import parse
from lpips_repro.config.building import BuildConfig
from lpips_repro.datasets.mini.photographs import PHOTOGRAPHS
from lpips_repro.errors import UserError
from tests.building.conftest import FEW, build, write_photographs
from tests.compose import settings


def config(folder, *overrides) -> BuildConfig:
    return parse(settings("build_dataset", f"images={folder}", "out=x", *FEW, *overrides), BuildConfig)


def choose(folder, *overrides):
    return choose_photographs(config(folder, *overrides), list_photographs(folder), map)


@pytest.fixture
def damaged(tmp_path):
    """A folder with photographs that can be used and others that cannot."""
    folder = write_photographs(tmp_path / "damaged")
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.webp").write_text("no image")
    (folder / "copy.png").write_bytes(whole)
    Image.open(folder / "0.png").save(folder / "copy.bmp")
    Image.new("RGB", (95, 400)).save(folder / "tiny.png")
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    Image.new("RGB", (200, 200), "gray").save(folder / "flat.png")
    Image.new("RGB", (200, 200)).save(
        folder / "frames.tif", save_all=True, append_images=[Image.new("RGB", (200, 200))]
    )
    (folder / "notes.txt").write_text("no photograph")
    (folder / ".hidden.png").write_bytes(whole)
    (folder / "broken.png").symlink_to(folder / "missing.png")
    return folder


def test_photographs_that_cannot_be_used_are_counted_and_named(damaged, tmp_path, caplog):
    out = build(damaged, tmp_path / "out")
    with (out / "photographs.csv").open(newline="") as file:
        why = {line["name"]: line["why"] for line in csv.DictReader(file)}
    assert len(why) == 14
    left_out = {name: text for name, text in why.items() if text}
    assert {name: text for name, text in left_out.items() if not name.startswith(("copy", "0"))} == {
        "cut.png": left_out["cut.png"],
        "empty.jpg": left_out["empty.jpg"],
        "text.webp": left_out["text.webp"],
        "frames.tif": "cannot be decoded: holds 2 images",
        "tiny.png": "too small: less than 96 pixels per side",
        "pixel.png": "too small: less than 96 pixels per side",
        "flat.png": "too little contrast",
    }
    assert all(left_out[name].startswith("cannot be decoded") for name in ("cut.png", "empty.jpg", "text.webp"))
    # One of three equal pictures is used.
    same = {name: text for name, text in left_out.items() if name.startswith(("copy", "0"))}
    assert len(same) == 2
    (used,) = {"0.png", "copy.png", "copy.bmp"} - {*same}
    assert {*same.values()} == {f"the same picture as {used}"}
    (warning,) = (record.message for record in caplog.records if record.levelname == "WARNING")
    assert warning.startswith("9 photographs left out (full list: ")


def test_phases_depend_on_pixels_and_seed_and_not_on_names(tmp_path):
    folder = write_photographs(tmp_path / "one", 12)
    phases = {one.pixels: one.phase for one in choose(folder, "val_share=0.25", "train=100")}
    assert sorted(phases.values()) == ["train"] * 9 + ["val"] * 3
    for number, file in enumerate(sorted(path for path in folder.rglob("*.*g"))):
        file.rename(folder / f"renamed-{number * 7 % 12}{file.suffix}")
    assert {one.pixels: one.phase for one in choose(folder, "val_share=0.25", "train=100")} == phases
    seeds = [choose(folder, "val_share=0.25", "train=100", f"seed={seed}") for seed in range(1, 5)]
    others = [{one.pixels: one.phase for one in found} for found in seeds]
    assert any(other != phases for other in others)


def test_no_more_photographs_are_examined_than_there_are_examples(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    folder = write_photographs(tmp_path / "many", 12)
    assert len(choose(folder, "train=3", "val=2", "jnd=1")) == 5
    assert len(choose(folder, "train=30")) == 12


def test_train_and_val_have_at_least_one_photograph_each(tmp_path):
    folder = write_photographs(tmp_path / "two", 2)
    assert {one.phase for one in choose(folder)} == {"train", "val"}
    assert {one.phase for one in choose(folder, "val_share=0.99")} == {"train", "val"}
    assert {one.phase for one in choose(folder, "train=0")} == {"val"}
    assert {one.phase for one in choose(folder, "val=0", "jnd=0")} == {"train"}


def test_too_few_photographs_are_one_error_that_names_those_left_out(tmp_path):
    folder = write_photographs(tmp_path / "one", 1)
    Image.new("RGB", (20, 20)).save(folder / "tiny.png")
    with pytest.raises(UserError, match=r"1 of 2 photographs can be used: .* at least 2.*left out: tiny.png: too"):
        choose(folder)
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="no such folder of photographs"):
        choose(folder)
    folder.mkdir()
    with pytest.raises(UserError, match=r"no photographs \(.bmp, .jpeg, .*\) in it"):
        choose(folder)


def test_of_copies_in_8_and_16_bits_one_is_used(tmp_path):
    folder = write_photographs(tmp_path / "twice", 3)
    pixels = np.asarray(Image.open(folder / "0.png"))
    cv2.imwrite(str(folder / "deep.png"), pixels[..., ::-1] * np.uint16(257))
    left_out = {one.name: one.why for one in choose(folder) if one.why}
    (used,) = {"0.png", "deep.png"} - {*left_out}
    assert {*left_out.values()} == {f"the same picture as {used}"}


def test_gray_deep_and_transparent_photographs_are_used(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "kinds"
    folder.mkdir()
    noise = rng.integers(0, 65536, (120, 120), np.uint16)
    Image.fromarray(noise).save(folder / "deep.png")
    Image.fromarray((noise >> 8).astype(np.uint8)).save(folder / "gray.png")
    Image.fromarray(rng.integers(0, 256, (120, 120, 4), np.uint8)).save(folder / "alpha.png")
    Image.fromarray(rng.integers(0, 256, (120, 120), np.uint8)).convert("P").save(folder / "palette.png")
    assert [one.why for one in choose(folder)] == [""] * 4
    assert build(folder, tmp_path / "out").is_dir()


@pytest.mark.parametrize("count", [1, 4])
def test_near_copies_in_train_and_val_are_named_and_different_photographs_are_not(tmp_path, caplog, count):
    folder = tmp_path / "near"
    folder.mkdir()
    files = [file for files in PHOTOGRAPHS.values() for file in files]
    for file in files[:count]:
        with Image.open(file) as image:
            image.convert("RGB").save(folder / f"{file.stem}.png")
            image.convert("RGB").resize((image.width // 2, image.height // 2)).save(folder / f"{file.stem}-small.jpg")
    build(folder, tmp_path / "out", "val_share=0.5", "train=100")
    lines = [one for one in _read_photographs(tmp_path / "out/photographs.csv") if one.near_copy]
    phases = {one.name: one.phase for one in _read_photographs(tmp_path / "out/photographs.csv")}
    apart = [file.stem for file in files[:count] if phases[f"{file.stem}.png"] != phases[f"{file.stem}-small.jpg"]]
    assert apart and {one.name.partition("-")[0].partition(".")[0] for one in lines} == {*apart}
    for one in lines:
        assert (one.phase, phases[one.near_copy]) == ("val", "train")
        assert f"{one.name} and {one.near_copy}" in caplog.text
    said = "1 photograph of val looks" if len(apart) == 1 else f"{len(apart)} photographs of val look"
    assert f"{said} nearly the same as one of train" in caplog.text


@pytest.mark.parametrize(("change", "near"), [("jpeg", True), ("larger", True), ("deep", True), ("mirrored", False)])
def test_what_counts_as_a_near_copy(change, near):
    pictures = [np.asarray(Image.open(file).convert("RGB")) for files in PHOTOGRAPHS.values() for file in files]
    thumbnails = [thumbnail_of(picture) for picture in pictures]
    for number in range(len(pictures)):
        others = thumbnails[:number] + thumbnails[number + 1 :]
        assert near_copies([thumbnails[number]], others) == {}
    content = io.BytesIO()
    Image.fromarray(pictures[0]).save(content, "JPEG", quality=30)
    changed = {
        "jpeg": np.asarray(Image.open(content)),
        "larger": cv2.resize(pictures[0], None, fx=1.7, fy=1.7),
        "deep": pictures[0] * np.uint16(257),
        "mirrored": pictures[0][:, ::-1],
    }[change]
    found = near_copies([thumbnails[2], thumbnail_of(changed)], [thumbnails[1], thumbnails[0]])
    assert found == ({1: 1} if near else {})


def test_a_file_of_photographs_of_an_earlier_version_is_read(built, tmp_path):
    lines = (built / "photographs.csv").read_text().splitlines()
    assert lines[0].endswith(",near_copy")
    (tmp_path / "photographs.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    assert _read_photographs(tmp_path / "photographs.csv") == _read_photographs(built / "photographs.csv")
