import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from skimage import data

from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.datasets.commands import fetch_dataset
from lpips_repro.datasets.mos.images import digest_images, load_image
from lpips_repro.datasets.mos.tid2013 import Tid2013, read_tid2013
from lpips_repro.errors import UserError
from lpips_repro.training.run import train
from tests.compose import settings
from tests.datasets.tid import SWAPPED, make_tid2013


@pytest.fixture
def root(tmp_path):
    make_tid2013(tmp_path / "tid")
    return tmp_path / "tid"


def test_names_in_any_case_are_found_with_score_type_and_level(root):
    images = read_tid2013(root)
    assert len(images) == 18
    assert [(image.name, image.type, image.level) for image in images[:4]] == [
        ("i01_01_1", 1, 1), ("i01_01_2", 1, 2), ("i01_01_3", 1, 3), ("i01_02_1", 2, 1)
    ]  # fmt: skip
    assert [image.mos for image in images[:3]] == [6.75, 5.0, 3.75]
    assert images[2].distorted.name == "I01_01_3.BMP"
    assert [images[k].reference.name for k in (0, 6, 12)] == ["i01.bmp", "I02.BMP", "i03.bmp"]
    assert {image.name: image.mos for image in images}[SWAPPED[1]] == 5.25


def test_a_reference_and_its_images_differ_as_made(root):
    for image in read_tid2013(root):
        difference = load_image(image.distorted, 48).astype(int) - load_image(image.reference, 48)
        assert len(np.unique(abs(difference))) == 1


@pytest.mark.parametrize("what", ["MOS_with_names.txt", "reference_images", "Distorted_Images"])
def test_what_is_not_there_is_named_with_where_to_get_it(root, what):
    (root / what).rename(root / "elsewhere")
    with pytest.raises(
        UserError, match=f"{what.lower()}: missing: .* by hand: .*ponomarenko.info/tid2013.htm .*DATA_RO"
    ):
        read_tid2013(root)


def test_the_first_missing_image_is_named_and_how_many_are(root):
    (root / "Distorted_Images/i02_01_1.bmp").unlink()
    (root / "Distorted_Images/I01_02_3.BMP").unlink()
    with pytest.raises(UserError, match=r"/i01_02_3.bmp: missing .*first of 2 missing images of .*MOS_with_names.txt"):
        read_tid2013(root)
    (root / "reference_images/I02.BMP").unlink()
    with pytest.raises(UserError, match=r"reference_images/i02.bmp: missing .*first of 3"):
        read_tid2013(root)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("I01_01_1.bmp 5.5", "'I01_01_1.bmp 5.5': expected a score and a name, such as '5.51429 I01_01_1.bmp'"),
        ("-1 I01_01_1.bmp", "'-1 I01_01_1.bmp': expected a score and a name"),
        ("nan I01_01_1.bmp", "'nan I01_01_1.bmp': expected a score and a name"),
        ("5.5", "'5.5': expected a score and a name"),
        ("5.5 I01_01_1.bmp 0.1", "'5.5 I01_01_1.bmp 0.1': expected a score and a name"),
        ("55.1 I01_01_1.bmp", "mean opinion score 55.1: expected one from 0 to 9"),
        ("5.5 I01_01.bmp", "name 'I01_01.bmp': expected iRR_TT_L.bmp"),
        ("5.5 ../I01_01_1.bmp", "name '../I01_01_1.bmp': expected iRR_TT_L.bmp"),
        ("5.5 i01_01_1.BMP", "i01_01_1.BMP has a score already"),
    ],
)
def test_a_wrong_line_is_named_with_its_number_value_and_remedy(root, line, message):
    with (root / "MOS_with_names.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=rf"MOS_with_names.txt, line 19: {message}.*: restore the file from http"):
        read_tid2013(root)


def test_an_empty_list_of_scores_is_an_error(root):
    (root / "MOS_with_names.txt").write_text("\n")
    with pytest.raises(UserError, match=r"MOS_with_names.txt: lists no image"):
        read_tid2013(root)


def test_names_that_differ_in_case_alone_are_refused(root):
    shutil.copy(root / "reference_images/I02.BMP", root / "reference_images/I02.bmp")
    with pytest.raises(UserError, match=r"I02.bmp: its name differs from I02.BMP only in upper and lower case"):
        read_tid2013(root)


def test_only_25_references_with_3000_images_are_all_of_tid2013(root, tmp_path):
    tid2013 = Tid2013(SimpleNamespace(name="tid2013", root=root))
    assert not tid2013.is_whole(tid2013.read_images())
    assert tid2013.describe_images(tid2013.read_images()).startswith(
        "3 reference images, 18 distorted: NOT all of TID2013 (25 and 3000)"
    )
    whole = tmp_path / "whole"
    for folder in ("reference_images", "distorted_images"):
        (whole / folder).mkdir(parents=True)
    names = [f"I{r:02d}_{t:02d}_{k}.bmp" for r in range(1, 26) for t in range(1, 25) for k in range(1, 6)]
    for name in names:
        (whole / "distorted_images" / name.lower()).touch()
        (whole / "reference_images" / f"{name[:3]}.BMP").touch()
    (whole / "mos_with_names.txt").write_text("".join(f"4.5 {name}\n" for name in names))
    assert tid2013.describe_images(read_tid2013(whole)) == "25 reference images, 3000 distorted: all of TID2013"


SHAPES = {128: (128, 171), 192: (192, 256), 256: (256, 341), 384: (384, 512), 512: (512, 683)}


@pytest.mark.parametrize("size", SHAPES)
def test_the_smaller_side_is_scaled_and_384_is_the_image_as_it_is(tmp_path, size):
    pixels = data.astronaut()[:384]
    Image.fromarray(pixels).save(tmp_path / "i01.bmp")
    found = load_image(tmp_path / "i01.bmp", size)
    assert found.shape == (*SHAPES[size], 3)
    if size == 384:
        np.testing.assert_array_equal(found, pixels)


def test_an_image_is_smoothed_before_it_is_made_smaller(tmp_path):
    stripes = np.zeros((384, 512, 3), np.uint8)
    stripes[::2] = 255  # of which every second or third row would be all black or white
    Image.fromarray(stripes).save(tmp_path / "i01.bmp")
    assert abs(load_image(tmp_path / "i01.bmp", 128).astype(float) - 127.5).max() < 20


def test_what_is_no_image_is_named(tmp_path):
    (tmp_path / "i01.bmp").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"i01.bmp: not a readable image .*: restore the file"):
        load_image(tmp_path / "i01.bmp", 128)
    Image.new("RGBA", (8, 8)).save(tmp_path / "i02.png")
    with pytest.raises(UserError, match=r"i02.png: an image of mode RGBA"):
        load_image(tmp_path / "i02.png", 128)


def test_the_digest_follows_the_images_and_not_the_scores(root):
    before = digest_images(read_tid2013(root))
    scores = root / "MOS_with_names.txt"
    scores.write_text(scores.read_text().replace("6.75000", "6.70000"))
    assert digest_images(read_tid2013(root)) == before
    image = read_tid2013(root)[0]
    shutil.copy(image.reference, image.distorted)
    assert digest_images(read_tid2013(root)) != before


def test_make_data_says_what_is_there_or_where_to_get_it(root, capsys, tmp_path):
    fetch_dataset(settings("dataset", "data=tid2013", f"data.root={root}"))
    assert "tid: 3 reference images, 18 distorted: NOT all of TID2013" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"absent/mos_with_names.txt: missing: TID2013 is downloaded by hand"):
        fetch_dataset(settings("dataset", "data=tid2013", f"data.root={tmp_path}/absent"))


def test_training_on_it_is_one_clear_error(root, tmp_path):
    where = (f"data.root={root}", f"experiments={tmp_path}/e", "device=cpu", "net=alex_gaussian")
    with pytest.raises(
        UserError, match=r"judged patches: only `make data` and `make eval-tables` work with .*: use DATA=ba"
    ):
        train(settings("train", "data=tid2013", *where))


@pytest.mark.parametrize("sizes", ["[]", "[64,64]", "[0]"])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(UserError, match=r"data.sizes=.*: expected"):
        parse(settings("evaluate", "data=tid2013", f"data.sizes={sizes}"), EvaluateConfig)


def test_rows_trained_on_bapps_are_the_ones_evaluated_on_it():
    assert parse(settings("evaluate", "data=tid2013"), EvaluateConfig).trained_on == "bapps"
    assert parse(settings("evaluate", "data=tid2013", "trained_on=mini"), EvaluateConfig).trained_on == "mini"
    assert parse(settings("evaluate", "data=mini"), EvaluateConfig).trained_on == "mini"
