"""`make disagreements`: the CSV, the picture and the errors."""

import csv
import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lpips_repro.errors import UserError
from lpips_repro.evaluation import disagreements, evaluate
from lpips_repro.evaluation.run import evaluate as write_tables
from lpips_repro.report.disagreements import write_disagreements
from lpips_repro.report.triplet_sheet import GAP, LINE, LINES, SIDE, triplet_sheet
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split, noise_split

COUNT = 16


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*overrides, methods="ssim,l2-rgb"):
    common = ("data=folder", "data.root=data", "device=cpu", "trained_on=null", "bootstrap=5", "net=[]")
    reference = f"reference={CONFIGS.parent}/experiments/reference"
    write_disagreements(settings("disagreements", *common, reference, f'methods="{methods}"', *overrides))


def lines(name="ssim-and-l2-rgb"):
    with Path(f"experiments/disagreements-folder/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def data(tmp_path):
    """A folder with two splits whose files do not have the usual names."""
    made = {}
    for seed, split in enumerate(("cnn", "mine")):
        folder, images, votes = make_split(tmp_path / "data", split=split, count=COUNT, seed=seed)
        for file in [*folder.glob("*/*")]:
            file.rename(file.with_name(f"photo{file.name}"))
        made[split] = (images, votes)
    return made


@pytest.mark.parametrize("observers", ["human", "simulated", "null"])
def test_csv_and_picture_have_the_votes_distances_and_verdicts(data, capsys, observers):
    run(f"data.observers={observers}")
    found = lines()
    assert found and {line["split"] for line in found} == {"2afc/val/cnn", "2afc/val/mine"}
    strengths = [float(line["strength"]) for line in found]
    assert strengths == sorted(strengths, reverse=True)
    first = found[0]
    index = int(first["index"])
    assert first["ref"] == f"{first['split']}/ref/photo{index:06d}.png"
    assert float(first["judge"]) == pytest.approx(float(data[first["split"].rpartition("/")[2]][1][index]))
    assert (first["method_a"], first["method_b"]) == ("ssim", "l2-rgb")
    for of in "ab":
        d0, d1 = float(first[f"d0_{of}"]), float(first[f"d1_{of}"])
        assert first[f"verdict_{of}"] == ("p0" if d0 < d1 else "p1")
        right = float(first["judge"]) if d1 < d0 else 1 - float(first["judge"])
        assert float(first[f"credit_{of}"]) == pytest.approx(right, abs=1e-6)
    assert {line["observers"] for line in found} == {"unknown" if observers == "null" else observers}
    printed = capsys.readouterr().out
    assert ("SIMULATED observers" in printed) == (observers == "simulated")
    assert "experiments/disagreements-folder/ssim-and-l2-rgb.png" in printed
    with Image.open("experiments/disagreements-folder/ssim-and-l2-rgb.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    images = data[first["split"].rpartition("/")[2]][0]
    shown = np.concatenate([images[name][index] for name in ("ref", "p0", "p1")], axis=1).repeat(2, 0).repeat(2, 1)
    height, width = shown.shape[:2]
    corner = np.all(pixels[: 1 - height, : 1 - width] == shown[0, 0], axis=2)
    assert any(np.array_equal(pixels[y : y + height, x : x + width], shown) for y, x in np.argwhere(corner))


def test_triplets_are_those_of_the_python_function(data):
    run("splits=mine")
    one, other = (evaluate(name, "data/2afc/val/mine", device="cpu") for name in ("ssim", "l2-rgb"))
    found = disagreements(one, other)
    assert [int(line["index"]) for line in lines()] == [each.index for each in found]
    assert [line["better"] for line in lines()] == [each.better for each in found]
    assert [line["p1"] for line in lines()] == [each.files["p1"] for each in found]


def test_distances_of_the_tables_are_used_and_missing_ones_are_computed(data, caplog):
    caplog.set_level(logging.INFO)
    common = ("data=folder", "data.root=data", "device=cpu", "trained_on=null", "net=[]")
    reference = f"reference={CONFIGS.parent}/experiments/reference"
    write_tables(settings("evaluate", *common, reference, "metric=[ssim]", "bootstrap=5"))
    run()
    assert "distances: 2 computed, 2 already stored in experiments/distances" in caplog.text
    caplog.clear()
    run()
    assert "distances: all 4 are stored" in caplog.text


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("ssim", "methods=ssim: expected the labels of two methods: METHODS=alex-lin-v0.1,ssim"),
        ("ssim,psnr,fsimc", "expected the labels of two methods"),
        ("ssim,ssim", "expected the labels of two methods"),
        ("ssim,", "expected the labels of two methods"),
        ("ssim,sim", "methods=ssim,sim: sim: no such method: expected one of .*ssim.*did you mean ssim"),
        ("ssim,piq/nonsense", "piq/nonsense: no such metric of piq"),
        ("alex,alex-lin-v0.1", "both are alex-lin-v0.1: expected two methods"),
    ],
)
def test_wrong_names_of_methods_are_an_error_before_data_are_read(methods, message):
    with pytest.raises(UserError, match=message):
        run(methods=methods)


def test_no_names_of_methods_are_an_error():
    with pytest.raises(UserError, match=r"^methods=: expected the labels of two methods"):
        write_disagreements(settings("disagreements", "data=folder", "data.root=data"))


def test_a_method_that_cannot_be_run_is_an_error_with_the_reason(data):
    with pytest.raises(UserError, match="hdr-vdp: not run: HDR-VDP is MATLAB code"):
        run(methods="ssim,hdr-vdp")


def test_a_misspelled_split_is_an_error_that_lists_the_splits(data):
    with pytest.raises(UserError, match="splits=cn: cn: no such 2AFC split: expected one of cnn, mine, all"):
        run("splits=cn")


def test_data_without_triplets_are_an_error(tmp_path):
    make_split(tmp_path / "data", kind="jnd")
    with pytest.raises(UserError, match="data=folder: has no 2AFC triplets: choose other data"):
        run()


def test_the_sheet_has_room_for_images_of_any_size_and_for_empty_sections(tmp_path):
    for name, size, zoom in (("small", (20, 30), 7), ("large", (200, 100), 1)):
        split = noise_split(tmp_path / name, 30, size)
        methods = [lambda x, y, place=place: (x - y).abs()[:, 0, place, place] for place in (0, 1)]
        one, other = (evaluate(method, split) for method in methods)
        found = disagreements(one, dataclasses.replace(other, label="other"), most=4)
        sheet = triplet_sheet("title", {"some": found, "others": []}, {split.name: split})
        assert len(found) == 4
        rows = 2  # a row has three triplets
        assert sheet.height == 5 * LINE + rows * (zoom * size[0] + LINES * LINE + GAP) + GAP
        assert sheet.width == 3 * (max(zoom * 3 * size[1], 3 * SIDE) + GAP) + GAP


def test_a_flipped_bit_in_a_packed_split_is_refused_before_anything_is_computed(data):
    run("data.packed=packed")
    (file,) = Path("packed").rglob("2afc-val-cnn/p1.npy")
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    for stored in Path("experiments/distances").rglob("*.csv"):
        stored.unlink()
    with pytest.raises(UserError, match=r"contents have SHA-256 \w+, the card says"):
        run("data.packed=packed")
    assert not list(Path("experiments/distances").rglob("*.csv"))
