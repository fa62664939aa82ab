import json
import pickle

import numpy as np
import pytest
import torch

from lpips_repro.cnn_distortions import CnnFamily, family
from lpips_repro.cnn_distortions.networks import Generator
from lpips_repro.errors import UserError
from tests.cnn_distortions.tiny import CONFIG, smooth_crops, tiny_config, write_tiny

IMAGE = smooth_crops(1, 40)[0][:, :33].astype(np.float32) / 255


@pytest.fixture
def folder(tmp_path):
    """A folder with two autoencoders, and one that is left out."""
    write_tiny(tmp_path / "000", seed=0)
    write_tiny(tmp_path / "001", left_out="its output is constant")
    write_tiny(tmp_path / "002", tiny_config(upsampling="transposed", first_stride=2), seed=2)
    return tmp_path


def applications(found, count=20):
    rng = np.random.default_rng(0)
    return [application for _ in range(count) for application in found.draw(rng, 0.0, 1.0)]


def test_only_autoencoders_that_are_not_left_out_are_drawn(folder):
    drawn = applications(CnnFamily(folder))
    assert {application.name for application in drawn} == {"000", "002"}
    assert {application.family for application in drawn} == {"cnn"}
    assert len({application.seed for application in drawn}) == len(drawn)


def test_applications_have_plain_values(folder):
    for application in applications(CnnFamily(folder)):
        assert type(application)(*json.loads(json.dumps(application))) == application


def test_the_output_has_the_size_and_range_of_the_image(folder):
    found = CnnFamily(folder)
    before = IMAGE.copy()
    for application in applications(found, 5):
        made = found.apply(IMAGE, application)
        assert made.shape == IMAGE.shape
        assert made.dtype == np.float32
        assert made.flags.c_contiguous
        assert 0 <= made.min() < made.max() <= 1
    assert np.array_equal(IMAGE, before)


def test_config_and_weights_on_disk_give_the_trained_network_to_the_bit(folder):
    torch.manual_seed(0)
    generator = Generator(CONFIG).eval()  # as before it was written
    found = CnnFamily(folder)
    application = next(application for application in applications(found) if application.name == "000")
    noise = np.random.default_rng(application.seed).standard_normal(IMAGE.shape)
    given = (IMAGE + CONFIG.amount * noise).astype(np.float32)
    with torch.no_grad():
        wanted = generator(torch.from_numpy(given.transpose(2, 0, 1).copy())[None])[0]
    assert np.array_equal(found.apply(IMAGE, application), wanted.permute(1, 2, 0).numpy())


def test_an_application_gives_the_same_bits_in_any_order_and_with_any_number_of_threads(folder):
    found = CnnFamily(folder)
    sent = pickle.loads(pickle.dumps(found))
    drawn = applications(found, 6)
    first = [found.apply(IMAGE, application) for application in drawn]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        again = [sent.apply(IMAGE, application) for application in reversed(drawn)]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert all(np.array_equal(*pair) for pair in zip(first, reversed(again), strict=True))
    assert not np.array_equal(first[0], found.apply(IMAGE, drawn[0]._replace(seed=drawn[0].seed + 1)))


def test_the_number_of_networks_in_memory_is_limited(folder, monkeypatch):
    monkeypatch.setattr(family, "MOST_LOADED", 1)
    found = CnnFamily(folder)
    for application in applications(found, 6):
        found.apply(IMAGE, application)
        assert list(found._loaded) == [application.name]


def test_a_missing_autoencoder_and_other_weights_are_named(folder):
    found = CnnFamily(folder)
    application = applications(found, 1)[0]
    with pytest.raises(UserError, match=r"no autoencoder '001': expected one of 000, 002"):
        found.apply(IMAGE, application._replace(name="001"))
    other = application._replace(parameters={"weights": "0" * 64})
    with pytest.raises(UserError, match=rf"{application.name}: weights \w{{12}}, expected 0{{12}}: restore"):
        found.apply(IMAGE, other)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (IMAGE.astype(np.float64), "image is float64"),
        (IMAGE[..., 0], r"image is float32 \(40, 33\)"),
        (IMAGE * 2, r"image has values in \[0, \d"),
        (IMAGE * np.float32(np.nan), r"image has values in \[nan, nan\]"),
    ],
)
def test_an_invalid_image_is_refused(folder, image, message):
    found = CnnFamily(folder)
    with pytest.raises(UserError, match=f"^{message}.*: expected"):
        found.apply(image, applications(found, 1)[0])


def test_the_digest_depends_on_weights_and_names(folder):
    digest = CnnFamily(folder).digest
    assert digest == CnnFamily(folder).digest
    (folder / "002").rename(folder / "003")
    renamed = CnnFamily(folder).digest
    write_tiny(folder / "003", seed=5)
    assert len({digest, renamed, CnnFamily(folder).digest}) == 3


def test_a_folder_without_an_autoencoder_that_distorts_names_the_command_that_makes_them(tmp_path):
    with pytest.raises(UserError, match=r"no autoencoders that distort: `make cnn-distortions COUNT=96 IMAGES=FOLDER`"):
        CnnFamily(tmp_path)
    write_tiny(tmp_path / "000", left_out="its output is constant")
    with pytest.raises(UserError, match=r"no autoencoders that distort \(1 are left out\)"):
        CnnFamily(tmp_path)


def test_an_incomplete_autoencoder_is_ignored(folder):
    (folder / "003").mkdir()
    (folder / "003/weights.pth").write_bytes((folder / "002/weights.pth").read_bytes())
    assert CnnFamily(folder).names == ["000", "002"]
