"""Where results and messages go: streams, pipes, devices, links."""

import json
import os
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from lpips_repro.cli.main import main
from lpips_repro.cli.printing import silent_libraries
from lpips_repro.errors import UserError
from lpips_repro.images import read_rgb
from tests.cli.conftest import NET, write_image

L2 = ("-m", "l2-rgb")


@pytest.mark.parametrize(("words", "start"), [(["distance", "--format", "csv"], b"ref,image"), (["map"], b"\x89PNG")])
def test_a_dash_as_output_is_standard_output(tmp_path, monkeypatch, capfdbinary, words, start):
    monkeypatch.chdir(tmp_path)
    images = [str(write_image(tmp_path / f"{k}.png", k)) for k in range(2)]
    monkeypatch.setattr("sys.argv", ["lpips-repro", *words, *images, "-o", "-", "-q", "-m", NET])
    with pytest.raises(SystemExit) as end:
        main()
    printed = capfdbinary.readouterr()
    assert not end.value.code and printed.out.startswith(start) and printed.err == b""
    assert not (tmp_path / "-").exists()


def test_names_that_are_not_utf8_are_escaped_in_valid_json(command, tmp_path):
    for name in ("a.png", "b\udcff.png"):
        write_image(tmp_path / "images" / name, 0)
    for style in ("json", "jsonl", "csv", "table"):
        ended = command("matrix", tmp_path / "images", *L2, "-q", "--format", style)
        assert ended.err == f"failed: {tmp_path}/images/b\\xff.png: not UTF-8: rename the file or folder\n"
        assert ended.status == 1 and not re.search(r"\\ud[89a-f]", ended.out)
        if style == "json":
            assert {one["image"] for one in json.loads(ended.out)["failed"]} >= {rf"{tmp_path}/images/b\xff.png"}


def test_devices_and_links_as_output_are_not_replaced(command, folders, tmp_path):
    ended = command("dirs", *folders, *L2, "-q", "-o", "/dev/null")
    assert ended.status == 0 and not os.path.isfile("/dev/null")  # noqa: PTH113
    (tmp_path / "link.csv").symlink_to("target.csv")
    command("dirs", *folders, *L2, "-q", "-o", tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "target.csv").read_text().startswith("ref,image")


@pytest.mark.slow
def test_what_opencv_cannot_read_is_one_line_as_well(tmp_path):
    """Its own lines come from C++, as its log level is when it is first imported."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64, 3), np.uint16), photometric="rgb", compression="lzma")
    words = [sys.executable, "-m", "lpips_repro.cli", "distance", write_image(tmp_path / "a.png", 0)]
    ended = subprocess.run([*words, tmp_path / "a.tif", *L2, "-q"], capture_output=True, text=True)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 1 and line.startswith("failed: ") and "OpenCV cannot read it" in line


def test_libraries_in_c_add_no_lines_about_damaged_files(tmp_path, capfd, monkeypatch):
    """libtiff and libpng print to the file descriptor of standard error."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.tif", compression="tiff_adobe_deflate")
    cv2.imwrite(str(tmp_path / "a.png"), pixels.astype(np.uint16))
    for name in ("a.tif", "a.png"):
        content = bytearray((tmp_path / name).read_bytes())
        content[-20 if name == "a.png" else 2000] ^= 255  # the checksum of the pixels; a pixel
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError), silent_libraries():
        read_rgb(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""
    with pytest.raises(UserError):
        read_rgb(tmp_path / "a.tif")
    assert "ZIPDecode" in capfd.readouterr().err  # without the context
    images = (write_image(tmp_path / "b.png", 0), tmp_path / "a.tif", tmp_path / "a.png")
    monkeypatch.setattr("sys.argv", ["lpips-repro", "distance", *map(str, images), *L2, "-q"])
    with pytest.raises(SystemExit, match="1"):
        main()
    printed = capfd.readouterr()
    assert printed.out == "" and [line[:8] for line in printed.err.splitlines()] == ["failed: "] * 2


@pytest.mark.parametrize(
    ("words", "status", "out", "error"),
    [
        ("metrics >&-", 2, "", "standard output: closed"),
        ("metrics 2>&-", 0, "l2-rgb", ""),
        ("nonsense 2>/dev/full", 2, "", ""),
    ],
)
def test_results_and_status_do_not_depend_on_standard_error(words, status, out, error):
    command = f"{sys.executable} -m lpips_repro.cli {words}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert ended.returncode == status
    assert out in ended.stdout and error in ended.stderr and len(ended.stderr.splitlines()) == bool(error)


@pytest.mark.parametrize(("target", "status", "what"), [("| head -c 5", 0, ""), ("> /dev/full", 2, "No space left")])
def test_a_closed_or_full_standard_output_gives_no_traceback(target, status, what):
    command = f"set -o pipefail; {sys.executable} -m lpips_repro.cli metrics {target}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert ended.returncode == status
    assert len(ended.stderr.splitlines()) <= 1 and what in ended.stderr
