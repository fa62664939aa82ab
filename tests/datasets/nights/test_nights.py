"""NIGHTS from small sets in its layout to rows of a table."""

import csv
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.commands import fetch_dataset
from lpips_repro.datasets.packing import folders
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError
from lpips_repro.evaluation.run import evaluate
from tests.compose import CONFIGS, settings

HEADER = "id,left_vote,right_vote,votes,ref_path,left_path,right_path,split,is_imagenet,prompt"
# Gray levels of the left and right image, whose reference has 100; the votes; the part.
TRIPLETS = {
    "2": (110, 130, "1,0,8", "test,True"),
    "3": (150, 120, "1,0,7", "test,True"),
    "5": (100, 90, "0,1,6", "test,False"),
    "8": (140, 120, "2,6,8", "test,False"),
    "9": (140, 120, "0,1,9", "val,True"),
    "11": (140, 120, "0,1,10", "train,False"),
    "12": (140, 120, "1,4,5", "test,False"),
}


def line(number):
    *_, votes, part = TRIPLETS[number]
    name = f"000/{int(number):03d}"
    return f"{number},{votes},ref/{name}.png,distort/{name}_0.png,distort/{name}_1.png,{part},An image of a cat"


def write_table(root, *lines, header=HEADER):
    (root / "data.csv").write_text("\n".join((header, *lines)) + "\n")


@pytest.fixture(autouse=True)
def in_threads(monkeypatch):
    """Images are decoded in a thread: a process takes a second to start."""
    monkeypatch.setattr(folders, "process_pool", lambda workers, task: ThreadPoolExecutor(workers))


@pytest.fixture
def root(tmp_path):
    """Seven triplets of flat images, 48 pixels per side."""
    for number, (left, right, *_) in TRIPLETS.items():
        for folder, levels in {"ref": {"": 100}, "distort": {"_0": left, "_1": right}}.items():
            (tmp_path / "nights" / folder / "000").mkdir(parents=True, exist_ok=True)
            for end, level in levels.items():
                file = tmp_path / "nights" / folder / "000" / f"{int(number):03d}{end}.png"
                Image.new("RGB", (48, 48), (level, level, level)).save(file)
    write_table(tmp_path / "nights", *map(line, TRIPLETS))
    return tmp_path / "nights"


def overrides(root, size=32):
    folder = root.parent
    own = ("data=nights", f"data.root={root}", f"data.packed={folder}/packed", f"data.size={size}", "data.workers=1")
    return (*own, f"experiments={folder}/out")


def splits(root, *phases, size=32):
    return prepare(parse(settings("dataset", *overrides(root, size)), DatasetConfig).data, *phases)


def test_the_splits_are_those_of_the_table_and_disjoint(root, caplog):
    caplog.set_level("INFO")
    found = {split.name: split.votes.tolist() for split in splits(root, "train", "val")}
    assert found == {
        "2afc/train/train": [1],
        "2afc/val/val": [1],
        "2afc/val/test": [0, 0, 1, 0.75],
    }
    assert "1 triplets have fewer than 6 votes and are left out" in caplog.text


def test_a_triplet_is_ref_left_and_right_at_the_datasets_size(root):
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    Image.fromarray(image).save(root / "ref/000/009.png")
    (split,) = [split for split in splits(root, "val") if split.card["split"] == "val"]
    assert split.size == (32, 32)
    assert split.card["observers"] == "human"
    expected = Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(split.arrays["ref"][0], np.asarray(expected))
    assert [split.arrays[name][0, 0, 0, 0] for name in ("p0", "p1")] == [140, 120]
    whole = splits(root, "val", size=48)
    assert {split.size for split in whole} == {(48, 48)}
    assert {split.card["resize"] for split in whole} == {"none (stored at 48x48)"}


def test_networks_see_224_pixels_by_default():
    data = parse(settings("dataset", "data=nights"), DatasetConfig).data
    assert (data.size, data.resize.value, data.observers.value) == (224, "pil_bicubic", "human")


def test_make_data_says_what_there_is(root, capsys):
    fetch_dataset(settings("dataset", *overrides(root)))
    found = capsys.readouterr().out
    assert re.search(r"2afc/val/test +4 +human +32x32 +pil_bicubic", found)


def test_a_split_is_packed_once_and_again_after_a_vote_or_an_image_has_changed(root):
    def stamps():
        return {split.name: (split.path / "card.json").stat().st_mtime_ns for split in splits(root, "val")}

    first = stamps()
    assert stamps() == first
    write_table(root, *(line(number).replace("2,6,8", "4,4,8") for number in TRIPLETS))
    changed = {name for name, stamp in stamps().items() if stamp != first[name]}
    assert changed == {"2afc/val/test"}
    second = stamps()
    Image.new("RGB", (48, 48)).save(root / "distort/000/009_1.png")
    assert {name for name, stamp in stamps().items() if stamp != second[name]} == {"2afc/val/val"}


def test_rows_of_the_table_have_the_scores_by_hand(root, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(root / "hub"))
    few = ("metric=[l2_rgb]", "net=[squeeze]", "net.squeeze.init=gaussian", "variant=[off_the_shelf]", "bootstrap=20")
    reference = f"reference={CONFIGS.parent}/experiments/reference"
    evaluate(settings("evaluate", *overrides(root), *few, reference, "download=false", "device=cpu", "trained_on=null"))
    with (root.parent / "out/tables-nights/twoafc.csv").open(newline="") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    # In the four triplets of "test" the nearer one has 1, 0, 0 and 0.75 of the votes.
    expected = {"val": 100, "test": 43.75, "all": (100 + 43.75) / 2}
    assert {split: float(rows["l2-rgb"][split]) for split in expected} == pytest.approx(expected, abs=0.01)
    networks = [row for label, row in rows.items() if label.startswith("squeeze")]
    assert networks
    for row in networks:
        assert 0 <= float(row["test"]) <= 100, row["note"]


def test_what_is_missing_is_named_with_where_to_get_it(root):
    (root / "distort/000/009_1.png").unlink()
    splits(root, "train")
    with pytest.raises(UserError, match=r"distort/000/009_1.png: missing, though .*data.csv lists it: unpack"):
        splits(root, "val")
    (root / "data.csv").unlink()
    with pytest.raises(UserError, match=r"missing: NIGHTS is downloaded by hand: .*dreamsim.* DATA_ROOT=FOLDER"):
        splits(root, "val")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1,0,8", "yes,0,8", "left_vote 'yes': expected a number of votes"),
        ("1,0,8", "1,,8", "right_vote '': expected a number of votes"),
        ("1,0,8", "1,-1,8", "right_vote '-1': expected a number of votes"),
        ("1,0,8", "1,0,nan", "votes 'nan': expected a number of votes"),
        ("1,0,8", "0,0,8", "left_vote and right_vote are 0"),
        ("test,True", "tset,True", "split 'tset': expected one of train, val, test"),
        ("ref/000/002.png", "../002.png", "ref_path '../002.png': expected a path in the folder of the table"),
        ("ref/000/002.png", "/etc/passwd", "ref_path '/etc/passwd': expected a path in the folder"),
        ("ref/000/002.png", "ref/000/../../../002.png", "expected a path in the folder of the table"),
        ("ref/000/002.png", r"..\\002.png", "expected a path in the folder of the table"),
        ("ref/000/002.png", "", "ref_path '': expected a path in the folder of the table"),
        (line("2"), "2,1", "votes None: expected a number of votes"),
        (line("2"), line("3"), "id 3 comes twice"),
    ],
)
def test_a_line_that_is_not_as_it_should_be_is_named(root, old, new, message):
    first = line("2").replace(old, new)
    assert first != line("2")
    write_table(root, first, *(line(number) for number in TRIPLETS if number != "2"))
    with pytest.raises(UserError, match=rf"data.csv, line \d: .*{re.escape(message)}") as error:
        splits(root, "val")
    assert str(error.value).endswith("restore the file from https://github.com/ssundaram21/dreamsim/tree/main/dataset")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "not a readable table"),
        (b"", "no column id, left_vote"),
        (HEADER.replace("right_vote", "right").encode(), "no column right_vote: restore the file"),
        (HEADER.encode(), "lists no triplet of val, test: restore the file"),
        (HEADER.encode() + b'\n1,"' + b"0" * 200_000 + b'"', "not a readable table"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_error(root, content, message):
    (root / "data.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"data.csv: {message}"):
        splits(root, "val")


def test_a_byte_order_mark_and_blank_lines_change_neither_columns_nor_the_lines_that_are_named(root):
    (root / "data.csv").write_text("\ufeff" + (root / "data.csv").read_text(), encoding="utf-8")
    assert {split.name: len(split) for split in splits(root, "val")} == {"2afc/val/val": 1, "2afc/val/test": 4}
    write_table(root, "", line("9"), "", line("9"), header="\ufeff" + HEADER)
    with pytest.raises(UserError, match=r"data.csv, line 5: id 9 comes twice"):
        splits(root, "val")


def test_images_smaller_than_the_datasets_size_are_refused(root):
    with pytest.raises(UserError, match=r"48 x 48 pixels: expected a square with sides of 64 to 4096"):
        splits(root, "val", size=64)
