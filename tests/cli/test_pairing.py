"""Which images of two folders, or lines of a file, are a pair."""

import pytest

from lpips_repro.cli.pairing import images_in, pairs_by_name, pairs_in_csv, pairs_in_order
from lpips_repro.errors import UserError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(pairs):
    return [(pair.ref.name, pair.image.name) for pair in pairs]


def test_images_of_one_name_are_a_pair_whatever_their_suffix(tmp_path):
    refs, images = (
        touch(tmp_path / "a", "x.png", "y.PNG", "note.txt", ".z.png"),
        touch(tmp_path / "b", "y.jpg", "x.jpeg"),
    )
    assert names(pairs_by_name(refs, images)) == [("x.png", "x.jpeg"), ("y.PNG", "y.jpg")]


def test_folders_inside_are_part_of_a_name(tmp_path):
    refs, images = touch(tmp_path / "a", "1/x.png", "2/x.png"), touch(tmp_path / "b", "2/x.png", "1/x.png")
    found = [pair.image.parent.name for pair in pairs_by_name(refs, images, recursive=True)]
    assert found == [pair.ref.parent.name for pair in pairs_by_name(refs, images, recursive=True)] == ["1", "2"]
    with pytest.raises(UserError, match=r"no image.*--recursive"):
        images_in(refs)


@pytest.mark.parametrize("which", [0, 1])
def test_strays_are_named(tmp_path, which):
    folders = [touch(tmp_path / "a", "x.png"), touch(tmp_path / "b", "x.png")]
    touch(folders[which], *(f"stray{k}.png" for k in range(5)))
    with pytest.raises(UserError, match=r"stray0.png.*stray2.png and 2 more: no image of the same name in"):
        pairs_by_name(*folders)


def test_two_images_of_one_name_are_an_error(tmp_path):
    with pytest.raises(UserError, match=r"x.png: x.jpg has the same name"):
        pairs_by_name(touch(tmp_path / "a", "x.jpg", "x.png"), touch(tmp_path / "b", "x.png"))


def test_order_is_that_of_sorted_names(tmp_path):
    refs, images = touch(tmp_path / "a", "2.png", "1.png"), touch(tmp_path / "b", "d.png", "c.png")
    assert names(pairs_in_order(refs, images)) == [("1.png", "c.png"), ("2.png", "d.png")]
    touch(images, "e.png")
    with pytest.raises(UserError, match=r"2 images.*: 3"):
        pairs_in_order(refs, images)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no column ref or image"),
        ("ref,other\na,b\n", "no column image"),
        ("ref,image\n", "no pairs"),
        ("ref,image\na.png,\n", "line 2: no image"),
        ("ref,image\na.png,b.png\n,c.png\n", "line 3: no ref"),
        ("ref,image\na.png\n", "line 2: no image"),
        (b"\xff\xfe\x00", "not a CSV file of UTF-8 text"),
    ],
)
def test_a_file_that_has_no_pairs_is_an_error_that_names_the_line(tmp_path, text, what):
    file = tmp_path / "pairs.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=what) as error:
        pairs_in_csv(file)
    assert str(file) in str(error.value)


def test_a_file_of_excel_is_read(tmp_path):
    (tmp_path / "pairs.csv").write_text("\ufeffref,image\r\na.png,b.png\r\n", encoding="utf-8")
    assert names(pairs_in_csv(tmp_path / "pairs.csv")) == [("a.png", "b.png")]
