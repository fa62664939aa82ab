import csv

import pytest
from PIL import Image

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.commands import fetch_dataset
from lpips_repro.datasets.mos import Kadid10k
from lpips_repro.datasets.mos.images import digest_images, load_image
from lpips_repro.datasets.prepare import prepare
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.errors import UserError
from lpips_repro.evaluation.run import evaluate
from tests.compose import settings
from tests.datasets.folders import make_split

LINES = ("I02_01_01.png,I02.png,4.57,0.496", "I01_25_05.png,I01.png,1,0", "I01_01_05.png,I01.png,5,0.2")


@pytest.fixture
def root(tmp_path):
    """Three distorted images of two references in KADID-10k's layout."""
    folder = tmp_path / "kadid"
    (folder / "images").mkdir(parents=True)
    write_scores(folder, *LINES)
    for name in ("I01.png", "I02.png", *(line.split(",")[0] for line in LINES)):
        Image.new("RGB", (8, 6), (len(name), 0, 0)).save(folder / "images" / name)
    return folder


def write_scores(root, *lines):
    (root / "dmos.csv").write_text("\n".join(("dist_img,ref_img,dmos,var", *lines)) + "\n")


def kadid(root):
    cfg = parse(settings("dataset", "data=kadid10k", f"data.root={root}"), DatasetConfig)
    return dataset_of(cfg.data)


def test_images_are_read_with_score_type_and_level_those_of_a_reference_together(root):
    images = kadid(root).read_images()
    assert [(image.name, image.mos, image.type, image.level) for image in images] == [
        ("i01_01_05", 5.0, 1, 5), ("i01_25_05", 1.0, 25, 5), ("i02_01_01", 4.57, 1, 1)
    ]  # fmt: skip
    assert [image.reference.name for image in images] == ["I01.png", "I01.png", "I02.png"]
    assert load_image(images[0].distorted, 3).shape == (3, 4, 3)
    assert len(digest_images(images)) == 64


def test_make_data_says_what_there_is(root, capsys):
    fetch_dataset(settings("dataset", "data=kadid10k", f"data.root={root}"))
    assert f"{root}: 2 reference images, 3 distorted: NOT all of KADID-10k (81 and 10125)" in capsys.readouterr().out


def test_each_size_is_a_split_and_none_is_for_training(root):
    cfg = parse(settings("dataset", "data=kadid10k", f"data.root={root}", "data.sizes=[3,5]"), DatasetConfig)
    splits = prepare(cfg.data, "val")
    assert [(split.name, len(split), split.groups, split.pixels) for split in splits] == [
        ("mos/val/3", 3, [2, 1], 3 * 4), ("mos/val/5", 3, [2, 1], 5 * 7)
    ]  # fmt: skip
    assert splits[0].keys == ["i01_01_05", "i01_25_05", "i02_01_01"]
    assert [*splits[0].votes] == [5.0, 1.0, 4.57]
    for phases in (("train",), ("train", "val")):
        with pytest.raises(UserError, match="data=kadid10k: KADID-10k has mean opinion scores of whole images"):
            prepare(cfg.data, *phases)


def test_what_is_missing_is_named_with_where_to_get_it(root):
    (root / "images/I01_25_05.png").unlink()
    with pytest.raises(UserError, match=r"images/I01_25_05.png: missing, though .*dmos.csv lists it: unpack"):
        kadid(root).read_images()
    (root / "dmos.csv").unlink()
    with pytest.raises(
        UserError, match=r"dmos.csv: missing: KADID-10k is downloaded by hand: .*kadid.* DATA_ROOT=FOLDER"
    ):
        kadid(root).read_images()


@pytest.mark.parametrize(
    "line",
    [
        "I01_01_05.png,I01.png,0.9,0",
        "I01_01_05.png,I01.png,nan,0",
        "I01_01_05.png,I01.png,high,0",
        "I01_01_05.png,I02.png,4,0",
        "../I01_01_05.png,I01.png,4,0",
        "I01_01_05.png",
    ],
)
def test_a_line_that_is_no_score_is_named(root, line):
    write_scores(root, LINES[0], line)
    with pytest.raises(UserError, match=r"dmos.csv, line 3: .*expected dist_img,ref_img,dmos"):
        kadid(root).read_images()


@pytest.mark.parametrize("content", [b"dist_img,ref_img,dmos\n" + b"x" * 200_000, b"dist_img,ref_img,dmos\n\xff,,\n"])
def test_a_file_that_is_no_table_is_one_error(root, content):
    (root / "dmos.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"^.*dmos.csv: not a CSV file of UTF-8 text .*: restore the file from"):
        kadid(root).read_images()


def test_a_byte_order_mark_and_blank_lines_change_neither_columns_nor_the_lines_that_are_named(root):
    head, *lines = (root / "dmos.csv").read_text().splitlines()
    (root / "dmos.csv").write_text("\ufeff" + "\n\n".join((head, *lines)) + "\n", encoding="utf-8")
    assert len(kadid(root).read_images()) == 3
    (root / "dmos.csv").write_text("\n\n".join((head, lines[0], "I01_01_05.png")) + "\n")
    with pytest.raises(UserError, match=r"dmos.csv, line 5: .*expected dist_img,ref_img,dmos"):
        kadid(root).read_images()


def test_an_image_with_two_scores_is_refused(root):
    write_scores(root, LINES[0], LINES[0])
    with pytest.raises(UserError, match=r"dmos.csv: lists no image, or one twice: restore"):
        kadid(root).read_images()


def make_noisy(root):
    """Two references with five distorted images each; returns the lines of their scores."""
    (root / "images").mkdir(parents=True)
    lines = []
    for ref in (1, 2):
        Image.new("RGB", (48, 48), (100, 100, 100)).save(root / f"images/I0{ref}.png")
        for level in range(1, 6):  # the larger the level, the further away and the worse
            name = f"I0{ref}_01_0{level}.png"
            Image.new("RGB", (48, 48), (100 + 10 * level,) * 3).save(root / "images" / name)
            lines.append(f"{name},I0{ref}.png,{6 - level},0.1")
    write_scores(root, *lines)
    return lines


SHORT = ("metric=[l2_rgb]", "net=[]", "bootstrap=5", "device=cpu")


def test_its_table_has_its_name_and_the_correlation_worked_by_hand(tmp_path):
    root = tmp_path / "kadid"
    lines = make_noisy(root)
    overrides = ("data=kadid10k", f"data.root={root}", "data.sizes=[48]", f"experiments={tmp_path}/experiments", *SHORT)
    evaluate(settings("evaluate", *overrides))
    folder = tmp_path / "experiments/tables-kadid10k"
    with (folder / "kadid10k.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["method"], row["spearman_48"], row["kendall_48"]) == ("l2-rgb", "1.0000", "1.0000")
    assert "# KADID-10k" in (folder / "kadid10k.md").read_text()
    assert not (folder / "tid2013.csv").exists()
    write_scores(root, *lines[:-1])  # other data: the table is kept
    evaluate(settings("evaluate", *overrides))
    (kept,) = (tmp_path / "experiments").glob("tables-kadid10k-*/kadid10k.csv")
    assert "1.0000" in kept.read_text()


def test_its_table_does_not_stay_next_to_those_of_another_dataset(tmp_path):
    make_noisy(tmp_path / "kadid")
    make_split(tmp_path / "data")
    shared = ("name=shared", f"experiments={tmp_path}/experiments", *SHORT)
    evaluate(settings("evaluate", "data=kadid10k", f"data.root={tmp_path}/kadid", "data.sizes=[48]", *shared))
    where = (f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed")
    evaluate(settings("evaluate", "data=folder", *where, *shared))
    assert sorted((tmp_path / "experiments/shared").glob("*.csv")) == [
        tmp_path / f"experiments/shared/{name}.csv" for name in ("differences", "scores", "twoafc", "twoafc_likelihood")
    ]
    (kept,) = (tmp_path / "experiments").glob("shared-*")
    assert {path.name for path in kept.iterdir()} >= {"kadid10k.csv", "kadid10k.md", "kadid10k.tex", "scores.csv"}


def test_a_title_that_is_no_file_name_is_that_of_the_table_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(Kadid10k, "title", "My MOS 2024/A")
    make_noisy(tmp_path / "kadid")
    overrides = ("data=kadid10k", "data.name=Mine", "+data.dataset=kadid10k", "data.sizes=[48]")
    where = (f"data.root={tmp_path}/kadid", f"experiments={tmp_path}/experiments")
    evaluate(settings("evaluate", *overrides, *where, *SHORT))
    assert "# My MOS 2024/A" in (tmp_path / "experiments/tables-Mine/mine.md").read_text()
