"""Each error of `lpips-repro` is one line, and the other images are compared."""

import errno
import json
import os
import struct
import zlib

import pytest
from PIL import Image

from tests.cli.conftest import NET, write_image

L2 = ("-m", "l2-rgb")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["distance"], "expected REF IMAGE..., got nothing"),
        (["distance", "a.png"], "expected REF IMAGE..., got a.png"),
        (["distance", "a.png", "b.png", "--resize", "big"], "expected no, ref or HxW"),
        (["distance", "a.png", "b.png", "--resize", "0x5"], "expected no, ref or HxW"),
        (["distance", "a.png", "b.png", "--resize", "20000x9999"], f"at most {2 * Image.MAX_IMAGE_PIXELS} pixels"),
        (["distance", "a.png", "b.png", "--background", "nocolor"], "expected a color"),
        (["distance", "a.png", "b.png", "--format", "xml"], "xml"),
        (["distance", "a.png", "b.png", "--batch-size", "0"], "--batch-size"),
        (["distance", "a.png", "b.png", "--batch-size", "many"], "--batch-size"),
        (["distance", "a.png", "b.png", "--device", "tpu"], "tpu"),
        (["distance", "a.png", "b.png", "--nonsense"], "--nonsense"),
        (["distance", "-dash.png", "b.png"], "file names that begin with - go after --"),
        (["distance", "a.png", "b.png", "-m", "hdr-vdp"], "hdr-vdp"),
        (["distance", "a.png", "b.png", "-m", "alexx"], "no such method: expected one of"),
        (["distance", "a.png", "b.png", "-m", ""], "no such method"),
        (["distance", "a.png", "b.png", "-m", "ssim", "--weights", "x.pth"], "ssim has no weights"),
        (["distance", "a.png", "b.png", "-m", NET, "--weights", "x.pth"], "x.pth"),
        (["distance", "a.png", "b.png", *L2, "-o", "missing/x.csv"], "missing/x.csv: no such folder"),
        (["distance", "a.png", "b.png", *L2, "-o", "folder"], "folder: a folder: expected the name of a file"),
        (["distance", "a.png", "b.png", *L2, "-o", "file/x.csv"], "file/x.csv: no such folder"),
        (["dirs", "missing", "b"], "missing: no such folder"),
        (["dirs", "file", "folder"], "file: not a folder"),
        (["dirs", "folder", "folder"], "folder: no image (.png,"),
        (["dirs", "folder"], "expected REF_DIR DIR, got folder"),
        (["dirs", "folder", "folder", "-t", "folder"], "expected REF_DIR DIR, got folder folder folder"),
        (["dirs", "a\nb", "folder"], r"a\nb: no such folder"),
        (["dirs", "\udcff", "folder"], r"\xff: no such folder"),
        (["pairs", "missing.csv"], "missing.csv"),
        (["pairs", "folder"], "folder"),
        (["pairs", "file"], "the first line is missing: expected ref,image"),
        (["matrix", "missing"], "missing: no such folder"),
        (["map", "a.png", "b.png"], "output"),
        (["map", "a.png", "b.png", "-o", "m.jpg"], "m.jpg: expected a name that ends in .npy or .png"),
        (["map", "a.png", "b.png", "-m", "ssim", "-o", "m.png"], "ssim: not a network"),
        (["map", "a.png", "-o", "m.png"], "expected REF IMAGE, got a.png"),
        (["export", NET, "-o", "m.png"], "m.png: expected a name that ends in .onnx or .pt2"),
        (["export", "ssim", "-o", "m.onnx"], "ssim: not a network"),
        (["export", NET, "-o", "missing/m.onnx"], "missing/m.onnx: no such folder"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(command, tmp_path, monkeypatch, words, what):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    ended = command(*words)
    assert (ended.status, ended.out) == (2, "")
    *notes, line = ended.err.splitlines()
    assert line.startswith("error: ") and what in line
    assert all(note.startswith("device=auto took") for note in notes)


def test_missing_cuda_is_an_error(command, tmp_path, monkeypatch):
    monkeypatch.setattr("lpips_repro.runs.device.why_no_cuda", lambda: "no CUDA device")
    ended = command("distance", "a.png", "b.png", "--device", "cuda")
    assert (ended.status, ended.err) == (2, "error: device=cuda: no CUDA device: fix this, or use device=cpu\n")


def write_text(path):
    path.write_text("text")


def write_truncated(path):
    write_image(path, 1)
    path.write_bytes(path.read_bytes()[:2000])


def write_bomb(path):
    """Write the beginning of a PNG of 20,000 x 20,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\0IDAT"
    )


def write_animation(path):
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("name", "write", "what"),
    [
        ("b.png", lambda path: None, "no such file"),
        ("b.png", lambda path: path.touch(), "an empty file"),
        ("b.png", lambda path: path.mkdir(), "a folder"),
        ("b.png", write_text, "not a readable image (no PNG or JPEG or WEBP or BMP or TIFF)"),
        ("b.png", write_truncated, "not a readable image"),
        ("b.png", write_bomb, "not a readable image (Image size (400000000 pixels) exceeds limit"),
        ("b.png", write_animation, "holds 2 images"),
        ("b.webp", write_animation, "holds 2 images"),
        ("b.tif", write_animation, "holds 2 images"),
        ("b.gif", write_animation, "but GIF): convert it to an 8- or 16-bit PNG"),
        ("b.png", lambda path: write_image(path, 1, (40, 50)), "50 x 40 pixels (W x H)"),
        ("b.png", lambda path: os.mkfifo(path), "a pipe or device"),
        ("n" * 300 + ".png", lambda path: None, "File name too long"),
        ("new\nline.png", write_text, "not a readable image"),
        ("\udcff.png", write_text, "not UTF-8: rename"),
    ],
)
@pytest.mark.parametrize("words", [["distance"], ["map", "-m", NET, "-o", "map.png"]])
def test_an_image_that_cannot_be_compared_is_one_line_and_status_1(
    command, tmp_path, monkeypatch, name, write, what, words
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name)
    first, *others = words
    method = [] if "-m" in others else L2
    ended = command(first, write_image(tmp_path / "a.png", 0), tmp_path / name, *others, *method, "-q")
    assert (ended.status, ended.out) == (1, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("failed: ") and what in line and line.isprintable()
    assert not (tmp_path / "map.png").exists()


@pytest.mark.parametrize("words", [["distance"], ["map", "-m", NET, "-o", "map.npy"]])
def test_an_image_without_read_permission_is_one_line_and_status_1(command, tmp_path, monkeypatch, words):
    def refuse(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.chdir(tmp_path)
    ref, image = (write_image(tmp_path / f"{k}.png", k) for k in range(2))
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.R_OK)
    monkeypatch.setattr("lpips_repro.files.decoding.Image.open", refuse)
    monkeypatch.setattr("lpips_repro.images.read_plain_png", lambda path: None)  # as of a file that it cannot open
    for images in ([ref, image], ["-r", ref, "-t", image]):
        ended = command(words[0], *images, *words[1:], "-q")
        assert (ended.status, ended.err) == (1, f"failed: {ref}: Permission denied\n")


def test_an_image_that_is_too_small_is_one_line(command, tmp_path):
    ref, image = (write_image(tmp_path / f"{k}.png", k, (20, 20)) for k in range(2))
    for words in (["distance"], ["map", "-o", tmp_path / "map.png"]):
        ended = command(words[0], ref, image, *words[1:], "-m", NET, "-q")
        assert ended.status == 1
        (line,) = ended.err.splitlines()
        assert "20" in line and str(image) in line


@pytest.mark.parametrize("style", ["json", "csv"])
def test_100_images_of_which_one_is_broken_have_99_results(command, tmp_path, style):
    for k in range(100):
        write_image(tmp_path / "refs" / f"{k:02}.png", k, (16, 16))
        write_image(tmp_path / "images" / f"{k:02}.png", 100 + k, (16, 16))
    broken = tmp_path / "images" / "57.png"
    broken.write_bytes(broken.read_bytes()[:300])
    out = tmp_path / f"out.{style}"
    ended = command("dirs", tmp_path / "refs", tmp_path / "images", *L2, "-q", "-o", out)
    assert ended.status == 1
    (line,) = ended.err.splitlines()
    assert line.startswith(f"failed: {broken}: not a readable image")
    if style == "csv":
        assert len(out.read_text().splitlines()) == 1 + 99
    else:
        found = json.loads(out.read_text())
        assert (len(found["results"]), len(found["failed"]), found["complete"]) == (99, 1, True)


def test_line_breaks_in_file_names_are_escaped_in_a_table(command, tmp_path):
    ref, image = write_image(tmp_path / "a\nb.png", 0), write_image(tmp_path / "ü\x1b[31m.png", 1)
    lines = command("distance", ref, image, *L2, "-q").out.splitlines()
    assert len(lines) == 3 and r"a\nb.png" in lines[2] and r"ü\x1b[31m.png" in lines[2]


def test_a_file_that_a_command_reads_is_not_its_output(command, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refs, images = (folder.name for folder in folders)
    (tmp_path / "link.csv").symlink_to("refs/0.png")
    (tmp_path / "pairs.csv").write_text("ref,image\nrefs/0.png,images/0.png\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    one, two = f"{refs}/0.png", f"{images}/0.png"
    for words in (
        ["distance", one, two, "-o", two],
        ["distance", one, two, "-o", "link.csv"],
        ["dirs", refs, images, "-o", one],
        ["matrix", refs, "-o", tmp_path / one],
        ["pairs", "pairs.csv", "-o", "pairs.csv"],
        ["map", one, two, "-o", two],
        ["distort", one, "--with", "jpeg", "-o", one],
    ):
        ended = command(*words)
        error = f"error: {words[-1]}: a file that this command reads: give --output another name\n"
        assert (ended.status, ended.out, ended.err) == (2, "", error)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
