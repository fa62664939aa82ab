"""Images of a complete dataset that were deleted or damaged are found and made again."""

import shutil
from types import SimpleNamespace

import pytest

from lpips_repro.building import build as module
from lpips_repro.building.build import build_dataset
from lpips_repro.errors import UserError
from tests.building.conftest import build, digests
from tests.compose import settings

SPLIT = "2afc/train/traditional"


@pytest.fixture
def copied(built, tmp_path):
    """A dataset that can be changed."""
    return shutil.copytree(built, tmp_path / "dataset")


def test_images_that_are_missing_or_cut_off_are_made_again_to_the_bit(copied, photographs, caplog):
    whole = digests(copied)
    folder = copied / SPLIT
    cut = (folder / "p0/000003.png").read_bytes()[:100]
    (folder / "p0/000003.png").write_bytes(cut)
    (folder / "p1/000003.png").unlink()
    (folder / "ref/000011.png").write_bytes(b"")
    shutil.rmtree(copied / "jnd/val/traditional/p0")
    build(photographs, copied)
    assert {name: digest for name, digest in digests(copied).items() if not name.endswith(".damaged")} == whole
    assert (folder / "p0/000003.png.damaged").read_bytes() == cut
    assert f"{folder}: images were missing or cut off: 3 made again" in caplog.text
    assert f"{copied / 'jnd/val/traditional'}: images were missing or cut off: 6 made again" in caplog.text
    caplog.clear()
    build(photographs, copied)
    assert "made again" not in caplog.text


@pytest.mark.parametrize("content", [None, "[]", "[" * 100_000, '{"ref": [], "p0": [], "p1": []}'])
def test_without_recorded_sizes_missing_and_empty_images_are_found(copied, photographs, content, caplog):
    whole, folder = digests(copied / SPLIT), copied / SPLIT
    if content is None:  # of an earlier version
        (folder / "sizes.json").unlink()
    else:
        (folder / "sizes.json").write_text(content)
    (folder / "p1/000003.png").unlink()
    (folder / "p0/000005.png").write_bytes(b"")
    build(photographs, copied)
    again = digests(folder)
    assert {name for name, digest in whole.items() if again.get(name) != digest} <= {"sizes.json"}
    assert ("sizes.json: damaged: only missing and empty images" in caplog.text) == (content is not None)


def test_a_complete_split_without_its_recipes_is_named(copied, photographs):
    (copied / SPLIT / "recipes.parquet").unlink()
    with pytest.raises(UserError, match=rf"{SPLIT}/recipes.parquet: missing: restore it, or move .*{SPLIT} elsewhere"):
        build(photographs, copied)


@pytest.mark.parametrize(
    "counts", [("train=1000000000000",), ("val=1000000000000",), ("size=1000000", "jnd=1000000000")]
)
def test_more_images_than_the_disk_holds_are_refused_before_any_is_made(photographs, tmp_path, monkeypatch, counts):
    monkeypatch.setattr(module, "begin", lambda *_: pytest.fail("begun"))
    words = (f"images={photographs}", f"out={tmp_path / 'out'}", "workers=1", *counts)
    with pytest.raises(
        UserError, match=r"\d+ images need at least \d+\.\d\d GB, and the disk of .* GB free: set smaller"
    ):
        build_dataset(settings("build_dataset", *words))


def test_finished_chunks_and_splits_need_no_more_space(copied, photographs, monkeypatch):
    def usage(_):
        return SimpleNamespace(free=free)

    monkeypatch.setattr(module.shutil, "disk_usage", usage)
    shutil.rmtree(copied / "2afc/val/traditional")
    free = 6 * 3 * 4096
    build(photographs, copied)
    shutil.rmtree(copied / "2afc/val/traditional")
    free -= 1
    with pytest.raises(UserError, match="18 images need at least"):
        build(photographs, copied)


def test_more_processes_than_any_machine_runs_are_refused(photographs, tmp_path):
    with pytest.raises(UserError, match="workers=100000: expected an integer from 1 to 1024"):
        build(photographs, tmp_path / "out", "workers=100000")
