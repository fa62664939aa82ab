"""What is published of BAPPS, and how what is found is compared with it."""

import numpy as np
import pytest

from lpips_repro.datasets.bapps.published import (
    ARCHIVES,
    COUNTS,
    count_is_right,
    judgments_differ,
    read_manifest,
    size_warning,
)
from lpips_repro.datasets.packed import write_split
from lpips_repro.errors import UserError
from tests.compose import CONFIGS
from tests.real_judgments import judge_of

MANIFEST = CONFIGS.parent / "experiments/reference/bapps_val_manifest.json"


def test_counts_are_checked_exactly_for_val_and_to_the_hundred_elsewhere():
    assert count_is_right(("2afc", "val", "superres"), 10856)
    assert not count_is_right(("2afc", "val", "superres"), 10855)
    assert count_is_right(("2afc", "train", "mix"), 56643)
    assert not count_is_right(("2afc", "train", "mix"), 56700)
    assert not count_is_right(("2afc", "val", "other"), 1)
    assert sum(count for key, count in COUNTS.items() if key[:2] == ("2afc", "val")) == 36344


def test_counts_of_the_archives_are_those_of_the_table():
    assert {key[:2] for key in COUNTS} == set(ARCHIVES)


@pytest.mark.parametrize(
    ("part", "size", "agrees"),
    [
        (("2afc", "val"), 1_100_000_000, True),
        (("2afc", "val"), 1_050_000_001, True),
        (("2afc", "val"), 1_181_116_006, True),  # 1.1 GiB
        (("2afc", "val"), 1_234_000_000, True),  # 1.149 GiB
        (("2afc", "val"), 1_040_000_000, False),
        (("2afc", "val"), 1_250_000_000, False),
        (("jnd", "val"), 160_000_000, True),
        (("jnd", "val"), 1_000, False),
        (("2afc", "train"), 5_690_831_667, True),  # 5.3 GiB
        (("2afc", "train"), 5_500_000_000, False),  # neither
    ],
)
def test_sizes_agree_with_the_published_ones_as_far_as_those_are_rounded(tmp_path, part, size, agrees):
    file = tmp_path / ARCHIVES[part].name
    with file.open("wb") as sparse:
        sparse.truncate(size)
    warning = size_warning(ARCHIVES[part], file)
    if agrees:
        assert warning is None
    else:
        assert f"{file} has {size / 1e9:.2f} GB ({size} bytes), expected about" in warning
        assert "\n" not in warning


def test_digest_of_the_real_judgments_is_the_published_one(shared, tmp_path, monkeypatch):
    for split in ("traditional", "frameinterp"):
        judge = judge_of(shared, split).astype(np.float32)
        images = np.zeros((len(judge), 64, 64, 3), np.uint8)
        card = {"kind": "2afc", "phase": "val", "split": split, "dataset": "bapps", "resize": "x", "observers": "human"}
        arrays = {"ref": images, "p0": images, "p1": images, "judge": judge}
        assert judgments_differ(write_split(tmp_path / split, arrays, card), read_manifest(MANIFEST)) is False
        arrays["judge"] = np.roll(judge, 1)
        assert judgments_differ(write_split(tmp_path / split, arrays, card), read_manifest(MANIFEST)) is True


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read"),
        ("[]", "holds a list, expected names and values"),
        ("[" * 100_000, "cannot be read"),
        ('{"cnn": {}}', "'cnn' has no judge_times_5_sha256"),
        ('{"cnn": []}', "'cnn' has no judge_times_5_sha256"),
        ('{"cnn": {"judge_times_5_sha256": 5}}', "'cnn' has no judge_times_5_sha256"),
    ],
)
def test_a_damaged_manifest_is_one_error_with_a_remedy(tmp_path, content, message):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=rf"manifest.json: {message}.*: restore it, .* or set data.manifest$"):
        read_manifest(tmp_path / "manifest.json")


def test_the_manifest_of_the_project_is_whole():
    assert set(read_manifest(MANIFEST)) == {key[2] for key in COUNTS if key[:2] == ("2afc", "val")}
