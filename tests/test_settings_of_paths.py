"""`~` in settings that are paths, and folders that cannot be written to."""

import re

import pytest

from lpips_repro.config import DatasetConfig, EvaluateConfig, KmeansConfig, PretrainConfig, SparsityConfig, parse
from lpips_repro.config.building import SimulateConfig
from lpips_repro.config.checks import check_writable
from lpips_repro.config.distortion_sheet import DistortionSheetConfig
from lpips_repro.errors import UserError
from tests.compose import settings


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(
    ("config", "schema", "key"),
    [
        *(("dataset", DatasetConfig, f"data.{key}") for key in ("root", "packed", "archives", "manifest")),
        *(("evaluate", EvaluateConfig, key) for key in ("experiments", "reference", "metric.hdr-vdp.distances")),
        ("evaluate", EvaluateConfig, "net.alex-kmeans.weights"),
        ("init_kmeans", KmeansConfig, "images"),
        ("pretrain", PretrainConfig, "store"),
        ("distortion_sheet", DistortionSheetConfig, "image"),
        ("simulate", SimulateConfig, "out"),
    ],
)
def test_the_home_of_the_user_is_expanded_in_every_path(config, schema, key):
    composed = settings(config, f'{key}="~/a b"')
    found = parse(composed, schema)
    for part in key.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
        composed = composed[part]
    assert found == composed == "/home/me/a b"


def test_the_home_of_the_user_is_expanded_in_lists_and_in_references_to_a_path():
    cfg = parse(settings("sparsity", 'weights=["~/a.pth","./~b"]'), SparsityConfig)
    assert cfg.weights == ["/home/me/a.pth", "./~b"]
    cfg = parse(settings("evaluate", 'experiments="~/x"'), EvaluateConfig)
    assert cfg.net["alex-kmeans"].weights == "/home/me/x/weights/alex-kmeans.pth"


def test_the_home_of_an_unknown_user_is_one_line():
    with pytest.raises(UserError, match=r"^~nobody-here/x: no such user: .* write ./~nobody-here/x$"):
        parse(settings("evaluate", 'experiments="~nobody-here/x"'), EvaluateConfig)


def test_other_settings_keep_a_tilde():
    assert parse(settings("evaluate", 'trained_on="~x"'), EvaluateConfig).trained_on == "~x"


def test_a_folder_that_cannot_be_written_into_is_named_with_its_setting(tmp_path):
    check_writable("store", tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}/file/x: Not a directory: ") + ".*set store=FOLDER"):
        check_writable("store", tmp_path / "file" / "x")


@pytest.mark.parametrize("held", [(), (".DS_Store",), ("seed0-0a1b2c3d", "notes.txt")])
def test_mini_is_made_in_its_own_folder(tmp_path, held):
    for name in held:
        (tmp_path / name).mkdir()
    assert parse(settings("dataset", "data=mini", f"data.root={tmp_path}"), DatasetConfig).data.root == str(tmp_path)


def test_mini_is_not_made_in_a_folder_with_other_data(tmp_path):
    (tmp_path / "2afc").mkdir()
    with pytest.raises(UserError, match=r"data.root=.*holds 2afc, not mini: .* DATA=folder DATA_ROOT="):
        parse(settings("dataset", "data=mini", f"data.root={tmp_path}"), DatasetConfig)
