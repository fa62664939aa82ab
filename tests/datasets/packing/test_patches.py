import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from lpips_repro.datasets.packing.patches import PatchForm, load_patch
from lpips_repro.errors import UserError

EXACT, BILINEAR = PatchForm(64, "exact"), PatchForm(64, "pil_bilinear")


@pytest.fixture
def patch():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def stored_form(patch):
    index = np.array([round(i * 63 / 255) for i in range(256)])
    return patch[index][:, index]


def save(path, array):
    Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("form", [BILINEAR, EXACT, PatchForm(64, "pil_bicubic")])
def test_an_image_stored_at_its_size_is_left_alone(tmp_path, patch, form):
    found, size, of_stored_form = load_patch(save(tmp_path / "a.png", patch), form)
    assert np.array_equal(found, patch)
    assert (size, of_stored_form) == (64, True)


def test_exact_restores_the_patch_of_the_stored_form(tmp_path, patch):
    found, size, of_stored_form = load_patch(save(tmp_path / "a.png", stored_form(patch)), EXACT)
    assert np.array_equal(found, patch)
    assert (size, of_stored_form) == (256, True)


def test_exact_of_a_single_pixel_is_the_first_one(tmp_path, patch):
    found, size, of_stored_form = load_patch(save(tmp_path / "a.png", patch), PatchForm(1, "exact"))
    assert np.array_equal(found, patch[:1, :1])
    assert (size, of_stored_form) == (64, False)


def test_exact_tells_an_image_that_is_not_of_the_stored_form(tmp_path, patch):
    stored = stored_form(patch)
    stored[1, 1] ^= 1
    assert load_patch(save(tmp_path / "a.png", stored), EXACT)[2] is False


def test_pil_bilinear_is_what_the_released_loader_does(tmp_path, patch):
    path = save(tmp_path / "a.png", stored_form(patch))
    loader = transforms.Compose([transforms.Resize(64), transforms.ToTensor()])
    with Image.open(path) as file:
        released = loader(file.convert("RGB"))
    found = torch.from_numpy(load_patch(path, BILINEAR)[0].copy()).permute(2, 0, 1) / 255
    torch.testing.assert_close(found, released, atol=0, rtol=0)


def test_pil_bicubic_is_the_resize_of_torchvision_at_any_size(tmp_path, patch):
    path = save(tmp_path / "a.png", patch)
    resize = transforms.Resize((24, 24), interpolation=transforms.InterpolationMode.BICUBIC)
    found, size, _ = load_patch(path, PatchForm(24, "pil_bicubic"))
    assert np.array_equal(found, np.asarray(resize(Image.fromarray(patch))))
    assert size == 64


def test_exact_restores_patches_of_another_size(tmp_path, patch):
    small = patch[:48, :48]
    index = np.array([round(i * 47 / 255) for i in range(256)])
    found, *_, of_stored_form = load_patch(save(tmp_path / "a.png", small[index][:, index]), PatchForm(48, "exact"))
    assert np.array_equal(found, small)
    assert of_stored_form


@pytest.mark.parametrize("shape", [(32, 32, 3), (64, 128, 3), (4097, 4097, 3)])
def test_another_size_is_refused_and_the_file_named(tmp_path, shape):
    path = save(tmp_path / "a.png", np.zeros(shape, np.uint8))
    with pytest.raises(
        UserError, match=f"a.png: {shape[1]} x {shape[0]} pixels: expected a square with sides of 64 to 4096"
    ):
        load_patch(path, EXACT)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_mode_whose_conversion_would_lose_something_is_refused_and_the_file_named(tmp_path, mode):
    image = Image.new(mode, (64, 64))
    path = tmp_path / "a.png"
    image.save(path)
    with pytest.raises(UserError, match=rf"{path.name}: a PNG of mode {mode}: expected 8-bit RGB or gray"):
        load_patch(path, EXACT)


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA"])
def test_gray_palette_and_opaque_images_are_converted(tmp_path, patch, mode):
    image = Image.fromarray(patch).convert(mode)  # opaque where it has alpha
    image.save(tmp_path / "a.png")
    assert np.array_equal(load_patch(tmp_path / "a.png", EXACT)[0], np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"no image"])
def test_an_unreadable_image_is_named(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.png: not a readable image"):
        load_patch(path, EXACT)


def test_a_truncated_image_is_named(tmp_path, patch):
    path = save(tmp_path / "a.png", patch)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match=r"a\.png: not a readable image"):
        load_patch(path, EXACT)


def test_the_real_triplets_are_of_the_stored_form_but_for_three_images(shared):
    folder = shared / "bapps_real_triplets/2afc/val/disagreements"
    images = sorted(path for field in ("ref", "p0", "p1") for path in (folder / field).glob("*.png"))
    odd = [f"{path.parent.name}/{path.name}" for path in images if not load_patch(path, EXACT)[2]]
    assert len(images) == 180
    assert odd == ["p0/000025.png", "p1/000025.png", "ref/000025.png"]
