import os

import numpy as np
import pytest

from lpips_repro.datasets.packing import layout
from lpips_repro.datasets.packing.layout import find_splits, read_vote
from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.table import Row, Table
from lpips_repro.evaluation.tables.writer import write_tables
from tests.datasets.folders import make_split


def test_splits_are_found_in_the_papers_order(tmp_path):
    for split in ("zebra", "color", "traditional", "apple"):
        make_split(tmp_path, split=split, count=1)
    make_split(tmp_path, kind="jnd", split="cnn", count=1)
    make_split(tmp_path, phase="train", split="mix", count=1)
    found = [(split.kind, split.split) for split in find_splits(tmp_path, "val")]
    assert found == [("2afc", "traditional"), ("2afc", "color"), ("2afc", "apple"), ("2afc", "zebra"), ("jnd", "cnn")]
    assert [split.split for split in find_splits(tmp_path, "train")] == ["mix"]


def test_hidden_folders_are_skipped(tmp_path):
    make_split(tmp_path, split="cnn", count=1)
    (tmp_path / "2afc/val/.ipynb_checkpoints").mkdir()
    assert [split.split for split in find_splits(tmp_path, "val")] == ["cnn"]


def test_a_split_named_as_the_mean_is_refused(tmp_path):
    make_split(tmp_path, split="all", count=1)
    with pytest.raises(UserError, match="'all' is the name of a mean in tables: rename the split"):
        find_splits(tmp_path, "val")


def test_two_splits_whose_names_differ_only_in_case_are_refused(tmp_path):
    for name in ("CNN", "cnn", "other"):
        make_split(tmp_path, split=name, count=1)
    with pytest.raises(
        UserError, match="2afc/val: splits: CNN and cnn differ only in upper and lower case: rename one"
    ):
        find_splits(tmp_path, "val")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("real", "'real' is the name of a mean"),
        ("Distortions", "'distortions' is the name of a mean"),
        ("note", "'note' is the name of a column"),
        ("settings", "'settings' is the name of a column"),
        *(
            (f"noise{suffix}", f"names of columns in tables end with '{suffix}'")
            for suffix in ("_lo", "_hi", "_paper", "_diff", "_sd")
        ),
    ],
)
def test_a_split_whose_column_would_be_treated_as_another_is_refused(tmp_path, name, message):
    make_split(tmp_path, split="noise", count=1)
    make_split(tmp_path, split=name, count=1)
    with pytest.raises(UserError, match=f"{name}: {message}.*rename the split"):
        find_splits(tmp_path, "val")


def test_every_column_of_a_table_is_reserved(tmp_path):
    row = Row("low-level", "x", scores={"noise": 1.0}, interval={"noise": (0, 2)}, paper={"noise": 1.0})
    row.spread = {"noise": 0.1}
    table = Table(TWOAFC, [row], ("noise",), {"noise": 9}, "Judgments.", with_paper=True)
    file, *_ = write_tables(tmp_path, [table])
    columns = file.read_text().partition("\n")[0].strip().split(",")
    assert {"noise", "noise_lo", "noise_hi", "noise_paper", "noise_diff", "noise_sd"} < set(columns)
    for column in set(columns) - {"noise"}:
        assert column in layout.COLUMNS or column.endswith(layout.SUFFIXES), column


def test_files_pair_by_sorted_name(tmp_path):
    make_split(tmp_path, count=3)
    (split,) = find_splits(tmp_path, "val")
    assert split.names == ("000000", "000001", "000002")


@pytest.mark.parametrize("name", ["000001.jpg", "000001.PNG", "000001.jpeg"])
def test_an_image_of_another_suffix_is_named_as_such(tmp_path, name):
    folder, _, _ = make_split(tmp_path)
    (folder / "ref/000001.png").rename(folder / "ref" / name)
    with pytest.raises(UserError, match=f"ref/{name}: expected a regular file 000001.png: convert or rename it"):
        find_splits(tmp_path, "val")


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    folder, _, _ = make_split(tmp_path)
    (folder / "p0/000001.png").unlink()
    os.mkfifo(folder / "p0/000001.png")
    with pytest.raises(UserError, match=r"p0/000001\.png: expected a regular file"):
        find_splits(tmp_path, "val")


@pytest.mark.parametrize("missing", ["ref/000002.png", "p0/000002.png", "p1/000002.png", "judge/000002.npy"])
def test_a_missing_counterpart_is_named(tmp_path, missing):
    folder, _, _ = make_split(tmp_path)
    (folder / missing).unlink()
    with pytest.raises(UserError, match=f"{missing}: missing, though its counterparts are there"):
        find_splits(tmp_path, "val")


def test_a_missing_field_is_named(tmp_path):
    (tmp_path / "2afc/val/cnn/ref").mkdir(parents=True)
    with pytest.raises(UserError, match=r"cnn/p0: no such folder: a 2afc split has ref, p0, p1, judge"):
        find_splits(tmp_path, "val")


def test_an_empty_split_is_named(tmp_path):
    for field in ("ref", "p0", "p1", "judge"):
        (tmp_path / "2afc/val/cnn" / field).mkdir(parents=True)
    with pytest.raises(UserError, match="2afc/val/cnn: empty split"):
        find_splits(tmp_path, "val")


@pytest.mark.parametrize("root", [".", "absent"])
def test_a_root_without_splits_is_named(tmp_path, root):
    with pytest.raises(UserError, match=r"no split here|no such folder"):
        find_splits(tmp_path / root, "val")


def files(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


# A case has the files, the folder that is given, and the message; {} stands for the root of the files.
HAS = "{} has the layout: set DATA_ROOT={} (data.root)"
MOVE = "it is a split: move it to ROOT/KIND/val/NAME and set DATA_ROOT=ROOT"
FOUND = {
    "empty": ([], ".", "nothing"),
    "images": ([f"{k}.png" for k in range(8)], ".", "0.png, 1.png, 2.png, 3.png, 4.png, 5.png and 2 more"),
    "test": (["2afc/test/cnn/ref/0.png"], ".", "2afc/test/: rename {}/2afc/test to {}/2afc/val"),
    "case": (["2AFC/val/cnn/ref/0.png", "notes.txt"], ".", "2AFC/val/, notes.txt: rename {}/2AFC to {}/2afc"),
    "phase": (["jnd/Val/cnn/p0/0.png"], ".", "jnd/Val/: rename {}/jnd/Val to {}/jnd/val"),
    "train": (["2afc/train/cnn/ref/0.png"], ".", "2afc/train/"),
    "above": (["x/y/2afc/val/cnn/ref/0.png"], ".", f"x/: {HAS}".replace("{}", "{}/x/y")),
    "kind": (["2afc/val/cnn/ref/0.png"], "2afc", f"val/: {HAS}"),
    "itself": (
        ["2AFC/test/x/ref/0.png"],
        "2AFC",
        "test/: it is the folder 2AFC of a dataset: set DATA_ROOT={} (data.root)",
    ),
    "below": (["2afc/val/cnn/ref/0.png"], "2afc/val", f"cnn/: {HAS}"),
    "split": (["2afc/val/cnn/ref/0.png", "2afc/val/cnn/p0/0.png"], "2afc/val/cnn", f"p0/, ref/: {HAS}"),
    "triplets": (["ref/0.png", "p0/0.png", "p1/0.png"], ".", f"p0/, p1/, ref/: {MOVE.replace('KIND', '2afc')}"),
    "pairs": (["p0/0.png", "p1/0.png"], ".", f"p0/, p1/: {MOVE.replace('KIND', 'jnd')}"),
    "level": (["val/cnn/ref/0.png"], ".", "val/: move {}/val into {}/2afc (triplets) or {}/jnd (pairs)"),
}


@pytest.mark.parametrize(("names", "at", "told"), FOUND.values(), ids=FOUND)
def test_a_root_without_splits_says_what_was_expected_found_and_what_to_do(tmp_path, names, at, told):
    files(tmp_path, *names)
    root = tmp_path / at
    with pytest.raises(UserError) as caught:
        find_splits(root, "val")
    told = told.replace("{}", str(tmp_path)).replace("NAME", tmp_path.name)
    assert str(caught.value) == (
        f"{root}: no split here: expected folders such as {root}/2afc/val/SPLIT/ref; found {told}"
    )


def test_a_phase_that_holds_fields_and_no_splits_is_named(tmp_path):
    files(tmp_path, *(f"2afc/val/{field}/0.png" for field in ("ref", "p0", "p1", "judge")))
    with pytest.raises(UserError, match=r"2afc/val: holds fields instead of splits: move judge, p0, p1, ref into"):
        find_splits(tmp_path, "val")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([1.25], np.float32), r"judge 1.25 in .*000001.npy: expected a share in \[0, 1\]"),
        (np.array([-0.2], np.float32), r"judge -0.2 in .*000001.npy"),
        (np.array([np.nan], np.float32), r"judge nan in .*000001.npy"),
        (np.array([0.2, 0.4], np.float32), r"000001.npy: holds float32 of shape \(2,\): expected one number"),
        (np.array(["a"]), r"000001.npy: holds <U1 of shape"),
        (np.array([None], object), r"000001.npy: not a readable .npy file"),
    ],
)
def test_a_bad_vote_is_named(tmp_path, value, message):
    folder, _, _ = make_split(tmp_path)
    np.save(folder / "judge/000001.npy", value)
    (split,) = find_splits(tmp_path, "val")
    with pytest.raises(UserError, match=message):
        split.vote("000001")


def test_an_unreadable_vote_is_named(tmp_path):
    folder, _, _ = make_split(tmp_path)
    (folder / "judge/000001.npy").write_bytes(b"")
    (split,) = find_splits(tmp_path, "val")
    with pytest.raises(UserError, match=r"000001.npy: not a readable .npy file"):
        split.vote("000001")


def test_a_vote_whose_header_does_not_parse_is_named(tmp_path):
    path = tmp_path / "000001.npy"
    np.save(path, np.float32([0.4]))
    path.write_bytes(path.read_bytes().replace(b"}", b" "))  # numpy lets a tokenize.TokenError through
    with pytest.raises(UserError, match=r"000001.npy: not a readable .npy file .*: restore the file$"):
        read_vote(path, "judge")


def test_a_vote_may_be_a_bare_number(tmp_path):
    folder, _, _ = make_split(tmp_path)
    np.save(folder / "judge/000001.npy", np.float64(0.4))
    (split,) = find_splits(tmp_path, "val")
    assert split.vote("000001") == 0.4


def test_a_file_whose_name_is_not_utf8_is_named(tmp_path):
    folder, *_ = make_split(tmp_path)
    (folder / "ref/000002.png").rename(folder / "ref/caf\udce9.png")
    with pytest.raises(UserError, match=r"ref/caf\\xe9.png: not UTF-8: rename the file or folder"):
        find_splits(tmp_path, "val")
