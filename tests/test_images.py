"""Image files of everyday use become RGB by documented rules."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from lpips_repro import load_image
from lpips_repro.errors import UserError
from lpips_repro.images import read_rgb


@pytest.fixture
def colors() -> np.ndarray:
    """An RGB image, (5, 7, 3), no two pixels the same."""
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def save(path, pixels, mode=None, **settings):
    """Write an image file by Pillow."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **settings)
    return path


def test_it_is_what_lpips_takes(tmp_path, colors):
    found = load_image(str(save(tmp_path / "a.png", colors)))
    assert (found.shape, found.dtype) == ((1, 3, 5, 7), torch.float32)
    wanted = colors.astype(np.float64).transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_lossless_formats_keep_their_bytes(tmp_path, colors, suffix):
    path = save(tmp_path / f"a.{suffix}", colors, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(read_rgb(path), colors)


def test_jpeg_is_as_pillow_decodes_it(tmp_path, colors):
    path = save(tmp_path / "a.jpg", colors)
    np.testing.assert_array_equal(read_rgb(path), np.asarray(Image.open(path)))


def test_gray_is_the_same_in_all_channels(tmp_path, colors):
    gray = colors[..., 0]
    np.testing.assert_array_equal(read_rgb(save(tmp_path / "a.png", gray)), gray[..., None].repeat(3, axis=2))


def test_a_palette_is_its_colors(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    np.testing.assert_array_equal(read_rgb(save(tmp_path / "a.png", image)), [[[40, 50, 60], [10, 20, 30]]])


def test_transparent_pixels_show_the_background(tmp_path):
    pixels = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    path = save(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_rgb(path), [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]])
    np.testing.assert_array_equal(read_rgb(path, "black"), [[[200, 100, 0], [0, 0, 0], [40, 20, 0]]])
    np.testing.assert_array_equal(read_rgb(path, "#000064")[0, 1], [0, 0, 100])


def test_a_transparent_color_of_a_palette_shows_the_background(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    path = save(tmp_path / "a.png", image, transparency=0)
    np.testing.assert_array_equal(read_rgb(path), [[[40, 50, 60], [255, 255, 255]]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_the_exif_orientation_is_applied(tmp_path, colors, orientation, deep):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", colors, exif=exif)
    upright = {
        **{1: colors, 2: colors[:, ::-1], 3: colors[::-1, ::-1], 4: colors[::-1], 5: colors.swapaxes(0, 1)},
        **{6: np.rot90(colors, -1), 7: colors.swapaxes(0, 1)[::-1, ::-1], 8: np.rot90(colors)},
    }[orientation]
    if deep:
        path = deep_copy_of(path, colors)
        upright = upright.astype(np.uint16) * 257
    np.testing.assert_array_equal(read_rgb(path), upright)


def deep_copy_of(path, pixels):
    """A PNG of 16 bits per channel with the EXIF data of another."""
    content = cv2.imencode(".png", pixels[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    exif = path.read_bytes()
    start = exif.index(b"eXIf") - 4
    length = int.from_bytes(exif[start : start + 4], "big") + 12
    end_of_header = 8 + 25
    deep = path.with_name("deep.png")
    deep.write_bytes(content[:end_of_header] + exif[start : start + length] + content[end_of_header:])
    return deep


def test_cmyk_is_as_pillow_converts_it(tmp_path, colors):
    path = save(tmp_path / "a.jpg", colors, "CMYK")
    np.testing.assert_array_equal(read_rgb(path), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bits_are_kept(tmp_path, suffix):
    pixels = np.random.default_rng(1).integers(0, 65536, (4, 6, 3), dtype=np.uint16)
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), pixels[..., ::-1])
    found = read_rgb(path)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_allclose(load_image(path)[0].permute(1, 2, 0), pixels / 32767.5 - 1, atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bits_of_gray_are_kept(tmp_path, suffix):
    pixels = np.random.default_rng(1).integers(0, 65536, (4, 6), dtype=np.uint16)
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), pixels)
    np.testing.assert_array_equal(read_rgb(path), pixels[..., None].repeat(3, axis=2))


def test_16_bits_with_alpha_show_the_background(tmp_path):
    pixels = np.array([[[60000, 30000, 0, 65535], [60000, 30000, 0, 0]]], np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., [2, 1, 0, 3]])
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), [[[60000, 30000, 0], [65535, 65535, 65535]]])


def broken(path):
    """A PNG of which the second half is missing."""
    save(path, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), format="PNG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: path.write_text("text"), "not a readable image"),
        (broken, "not a readable image"),
        (lambda path: save(path, Image.new("RGB", (2, 2)), format="GIF"), "not a readable image"),
        (lambda path: save(path, np.zeros((2, 2), np.float32), format="TIFF"), "expected"),
        (
            lambda path: save(
                path,
                Image.new("RGB", (2, 2)),
                format="WEBP",
                save_all=True,
                append_images=[Image.new("RGB", (2, 2), 9)],
            ),
            "holds 2 images",
        ),
    ],
)
def test_what_is_no_single_image_is_an_error_that_names_it(tmp_path, write, what):
    path = tmp_path / "a.img"
    write(path)
    with pytest.raises(UserError, match=what) as error:
        read_rgb(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_background_that_is_no_color_is_an_error(tmp_path, colors):
    with pytest.raises(UserError, match="background=whit: expected a color"):
        read_rgb(save(tmp_path / "a.png", colors), "whit")
