"""The evaluation reads every byte of a packed split before it uses it."""

import re

import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.run import evaluate
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split


@pytest.mark.parametrize("field", ["p1", "judge"])
def test_a_flipped_bit_in_a_packed_split_ends_the_evaluation_before_anything_is_computed(tmp_path, field):
    make_split(tmp_path / "data", split="mine")
    folders = {"data.root": "data", "data.packed": "packed", "experiments": "experiments"}
    words = [f"{key}={tmp_path / name}" for key, name in folders.items()]
    words += ["data=folder", "metric=[l2_rgb]", "net=[]", "variant=[]", "bootstrap=10", "device=cpu", "download=false"]
    words += [f"reference={CONFIGS.parent}/experiments/reference"]
    evaluate(settings("evaluate", *words))
    stored = tmp_path / "experiments/distances"
    before = {file: file.read_bytes() for file in stored.rglob("*.csv")}
    (table,) = (tmp_path / "experiments").glob("*/twoafc.csv")
    of_sound_data = table.read_bytes()

    (file,) = (tmp_path / "packed").rglob(f"{field}.npy")
    content = bytearray(file.read_bytes())
    content[-3] ^= 1  # a share or an image that is as plausible as before
    file.write_bytes(content)
    for stored_one in before:
        stored_one.unlink()
    with pytest.raises(UserError, match=rf"{re.escape(str(file.parent))}: contents have SHA-256 \w+, the card says"):
        evaluate(settings("evaluate", *words))
    assert not list(stored.rglob("*.csv"))
    assert table.read_bytes() == of_sound_data
