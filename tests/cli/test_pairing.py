"""Pairs of the images of two folders, and of the lines of a file."""

import errno
import os
from pathlib import Path

import pytest

from lpips_repro.cli.pairing import Pair, images_in, pairs_by_name, pairs_in_csv, pairs_in_order
from lpips_repro.errors import UserError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


scandir = os.scandir


def refuse(path):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def names_in(paths):
    return [path.name for path in paths]


def names(pairs):
    return [(pair.ref.name, pair.image.name) for pair in pairs]


def test_images_with_the_same_name_are_a_pair_even_if_the_suffix_differs(tmp_path):
    refs, images = (
        touch(tmp_path / "a", "x.png", "y.PNG", "note.txt", ".z.png"),
        touch(tmp_path / "b", "y.jpg", "x.jpeg"),
    )
    assert names(pairs_by_name(refs, images)) == [("x.png", "x.jpeg"), ("y.PNG", "y.jpg")]


def test_subfolders_are_part_of_a_name(tmp_path):
    refs, images = touch(tmp_path / "a", "1/x.png", "2/x.png"), touch(tmp_path / "b", "2/x.png", "1/x.png")
    found = [pair.image.parent.name for pair in pairs_by_name(refs, images, recursive=True)]
    assert found == [pair.ref.parent.name for pair in pairs_by_name(refs, images, recursive=True)] == ["1", "2"]
    with pytest.raises(UserError, match=r"no image.*--recursive"):
        images_in(refs)


@pytest.mark.parametrize("which", [0, 1])
def test_images_without_a_partner_are_counted_and_the_first_are_named(tmp_path, which):
    folders = [touch(tmp_path / "a", "x.png"), touch(tmp_path / "b", "x.png")]
    touch(folders[which], *(f"stray{k}.png" for k in range(5)))
    with pytest.raises(UserError, match=r"^5 of 7 images have none.*: \S*stray0.png, \S*, \S*stray2.png and 2 more: "):
        pairs_by_name(*folders)


def test_images_without_a_partner_of_both_folders_are_counted(tmp_path):
    with pytest.raises(UserError, match=r"^2 of 4 images have none.*: \S*a/y.png, \S*b/z.png: "):
        pairs_by_name(touch(tmp_path / "a", "x.png", "y.png"), touch(tmp_path / "b", "x.png", "z.png"))


def test_images_with_the_same_suffix_are_paired_first(tmp_path):
    refs = touch(tmp_path / "a", "x.jpg", "x.png", "z.bmp")
    images = touch(tmp_path / "b", "x.jpg", "x.png", "z.tif")
    assert names(pairs_by_name(refs, images)) == [("x.jpg", "x.jpg"), ("x.png", "x.png"), ("z.bmp", "z.tif")]


@pytest.mark.parametrize("other", ["x.webp", "y.png"])
def test_two_images_with_the_same_name_are_an_error(tmp_path, other):
    with pytest.raises(UserError, match=r"x.png: x.jpg has the same name"):
        pairs_by_name(touch(tmp_path / "a", "x.jpg", "x.png"), touch(tmp_path / "b", other))


def test_hidden_files_are_skipped_and_links_are_not(tmp_path):
    folder = touch(tmp_path / "a", "x.png", ".DS_Store", "._x.png", ".hidden/y.png", "Thumbs.db")
    (folder / "link.png").symlink_to("x.png")
    (folder / "dangling.png").symlink_to("missing.png")
    (folder / "folder.png").mkdir()
    assert [path.name for path in images_in(folder)] == ["dangling.png", "link.png", "x.png"]
    assert [path.name for path in images_in(folder, recursive=True)] == ["dangling.png", "link.png", "x.png"]
    (tmp_path / "b").symlink_to(folder)
    assert len(images_in(tmp_path / "b")) == 3


def test_a_subfolder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    folder = touch(tmp_path / "a", "x.png", "locked/y.png", ".hidden/z.png")
    monkeypatch.setattr("os.scandir", lambda path: refuse(path) if Path(path).name != "a" else scandir(path))
    assert names_in(images_in(folder)) == ["x.png"]
    with pytest.raises(UserError, match="a/locked: Permission denied"):
        images_in(folder, recursive=True)


def test_images_are_paired_in_the_order_of_their_names(tmp_path):
    refs, images = touch(tmp_path / "a", "2.png", "1.png"), touch(tmp_path / "b", "d.png", "c.png")
    assert names(pairs_in_order(refs, images)) == [("1.png", "c.png"), ("2.png", "d.png")]
    touch(images, "e.png")
    with pytest.raises(UserError, match=r"has 2 images, .* has 3: expected the same number"):
        pairs_in_order(refs, images)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the first line is missing: expected ref,image"),
        ("ref,other\na,b\n", "the first line is 'ref,other'"),
        ("ref,image,ref\na,b,c\n", "the first line is 'ref,image,ref'"),
        ("ref,image\n", "no pairs"),
        ("ref,image\na.png,\n", "line 2: no image"),
        ("ref,image\na.png,b.png\n,c.png\n", "line 3: no ref"),
        ("ref,image\na.png\n", "line 2: no image"),
        ("ref;image\na.png;b.png\n", "the first line is 'ref;image'"),
        ("a.png,b.png\n", "the first line is 'a.png,b.png'"),
        ("ref,image\na,1.png,b.png\n", "line 2: more values than columns"),
        ('ref,image\n"a.png,b.png\n', "not a CSV file"),
        ("ref,image\nä.png,b.png\n".encode("latin-1"), "not a CSV file of UTF-8 text"),
        ("ref,image\na.png,b.png\n".encode("utf-16"), "not a CSV file of UTF-8 text"),
        (b"\xff\xfe\x00", "not a CSV file of UTF-8 text"),
    ],
)
def test_an_invalid_file_of_pairs_is_an_error_that_names_the_line(tmp_path, text, what):
    file = tmp_path / "pairs.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=what) as error:
        pairs_in_csv(file)
    assert str(file) in str(error.value)


def test_a_csv_file_of_excel_is_read(tmp_path):
    (tmp_path / "pairs.csv").write_text("\ufeffref,image\r\na.png,b.png\r\n", encoding="utf-8")
    assert names(pairs_in_csv(tmp_path / "pairs.csv")) == [("a.png", "b.png")]


def test_quotes_relative_and_absolute_paths_are_read(tmp_path):
    file = tmp_path / "deep" / "pairs.csv"
    file.parent.mkdir()
    file.write_text(f'image, ref\n"a, b.png", "c ""d"".png"\n\n../e.png,{tmp_path}/f.png\n')
    assert [(pair.ref, pair.image) for pair in pairs_in_csv(file)] == [
        (file.parent / 'c "d".png', file.parent / "a, b.png"),
        (tmp_path / "f.png", file.parent / "../e.png"),
    ]


def test_pairs_may_come_from_a_pipe_with_paths_relative_to_the_current_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="the first line is missing"):  # no writer: nothing to wait for
        pairs_in_csv(tmp_path / "pipe")
    reader, writer = os.pipe()
    os.write(writer, b"ref,image\na.png,b.png\n")
    os.close(writer)
    assert pairs_in_csv(Path(f"/dev/fd/{reader}")) == [Pair(Path("a.png"), Path("b.png"))]
    os.close(reader)
