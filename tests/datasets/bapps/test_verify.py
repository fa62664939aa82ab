import hashlib
import re
import shutil

import pytest

from lpips_repro.datasets.bapps.published import ARCHIVES, COUNTS
from lpips_repro.datasets.commands import fetch_dataset, verify_dataset
from lpips_repro.errors import UserError
from tests.datasets.archives import members, write_archive
from tests.datasets.small_bapps import FEW, small_settings

NEVER_PACKED = "good (never packed: read completely, counts as published)"


@pytest.fixture
def verify(mirror, tmp_path, capsys):
    """Verifies what is in tmp_path / "data", which must end with `error`; returns the table's lines by their names."""

    def run(*overrides, mirror=mirror, error=None):
        capsys.readouterr()
        cfg = small_settings(mirror, tmp_path / "data", *overrides)
        if error is None:
            verify_dataset(cfg)
        else:
            with pytest.raises(UserError, match=error):
                verify_dataset(cfg)
        return {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[2:]}

    return run


def test_nothing_there_is_an_error_that_names_the_command(verify):
    verify(mirror="/absent", error=r"no files of BAPPS to verify \(train and val\): run `make data`")
    verify("splits=val", mirror="/absent", error=r"no files of .* \(val\): run `make data SPLITS=val`")


def test_all_is_good_then_each_kind_of_damage_is_found(mirror, tmp_path, verify, monkeypatch):
    monkeypatch.setattr("lpips_repro.datasets.bapps.verify.judgments_differ", lambda split, published: None)
    folder = tmp_path / "data"
    fetch_dataset(small_settings(mirror, folder))
    table = verify()
    assert all("good" in line for line in table.values())
    assert len(table) == len(COUNTS) + len(ARCHIVES)

    packed = folder / "packed/bapps/exact"
    content = bytearray((packed / "2afc-val-cnn/p0.npy").read_bytes())
    content[-1] ^= 1
    (packed / "2afc-val-cnn/p0.npy").write_bytes(content)
    monkeypatch.setitem(COUNTS, ("2afc", "val", "color"), 1)
    card = packed / "2afc-val-deblur/card.json"
    card.write_text(card.read_text().replace('"human"', '"simulated"'))
    (folder / "archives/jnd.tar.gz").write_bytes(b"another file")
    table = verify(
        mirror="/absent",
        error=r"not good: 2afc/val/cnn, 2afc/val/deblur, 2afc/val/color, jnd.tar.gz: see the verdicts above",
    )
    assert "DAMAGED" in table["2afc/val/cnn"]
    advice = f"move the folder {packed}/2afc-val-{{}} elsewhere and run `make data SPLITS=val` to pack it again"
    assert table["2afc/val/cnn"].endswith(advice.format("cnn"))
    assert table["2afc/val/deblur"].endswith("OTHER SETTINGS: `make data SPLITS=val` packs it again")
    assert table["2afc/val/color"].endswith(f"WRONG COUNT: {advice.format('color')}")
    changed = (
        f"CHANGED since its first use: move {folder}/archives/jnd.tar.gz elsewhere and run `make data SPLITS=val` to "
    )
    assert changed in table["jnd.tar.gz"]
    assert f"to use the new one, remove its line from {folder}/archives/sha256.json" in table["jnd.tar.gz"]
    assert "missing (not needed after packing)" in table["twoafc_val.tar.gz"]


def test_other_judgments_are_a_warning_and_no_failure(mirror, tmp_path, verify, caplog):
    fetch_dataset(small_settings(mirror, tmp_path / "data"))
    caplog.clear()
    table = verify()
    assert caplog.text.count("ATTENTION: the judgments of 2afc/val/") == 6
    assert sum("JUDGMENTS DIFFER from those published" in line for line in table.values()) == 6


def test_archives_that_were_never_packed_are_verified_by_reading_them(mirror, tmp_path, verify):
    shutil.copytree(mirror, tmp_path / "data/archives")
    table = verify(mirror="/absent")
    for archive in ARCHIVES.values():
        assert table[archive.name].endswith(NEVER_PACKED)
        assert hashlib.sha256((mirror / archive.name).read_bytes()).hexdigest()[:12] in table[archive.name]
    assert not (tmp_path / "data/archives/sha256.json").exists()  # that is for their first use


@pytest.mark.parametrize("address", ["{}", "file://{}"])
def test_archives_used_in_place_are_checked_and_named_by_their_path(mirror, tmp_path, verify, address):
    fetch_dataset(small_settings(mirror, tmp_path / "data", "splits=val"))
    table = verify(mirror=address.format(mirror))
    assert table[f"{mirror}/jnd.tar.gz"].endswith("good")
    assert table[f"{mirror}/twoafc_train.tar.gz"].endswith(NEVER_PACKED)
    shutil.copytree(mirror, tmp_path / "data/archives", dirs_exist_ok=True)
    (tmp_path / "data/archives/jnd.tar.gz").write_bytes(b"another file")
    table = verify(mirror=address.format(mirror), error="not good: jnd.tar.gz: see")
    assert table[f"{mirror}/jnd.tar.gz"].endswith("good")


def test_only_the_archives_of_the_splits_asked_for_are_read(mirror, verify):
    (mirror / "twoafc_train.tar.gz").write_bytes(b"damaged")
    assert not any("twoafc_train" in what for what in verify("splits=val"))


def test_a_damaged_split_and_a_damaged_card_are_found(mirror, tmp_path, verify):
    fetch_dataset(small_settings(mirror, tmp_path / "data", "splits=val"))
    packed = tmp_path / "data/packed/bapps/exact"
    (packed / "2afc-val-cnn/p0.npy").write_bytes(b"")
    (packed / "2afc-val-color/card.json").write_text('{"layout": 1}')
    table = verify("splits=val", error=r"not good: 2afc/val/cnn, 2afc/val/color: see")
    for split in ("cnn", "color"):
        advice = (
            f": move the folder {packed}/2afc-val-{split} elsewhere and run `make data SPLITS=val` to pack it again"
        )
        assert table[f"2afc/val/{split}"].endswith(advice)
    assert "no packed split of layout" in table["2afc/val/color"]


def spoil_crc(content):
    return content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]


def cut(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize("spoil", [spoil_crc, cut, lambda content: b"<html>not found</html>"])
def test_a_damaged_archive_that_was_never_packed_is_found(mirror, verify, spoil):
    file = mirror / "jnd.tar.gz"
    file.write_bytes(spoil(file.read_bytes()))
    table = verify("splits=val", error=f"not good: {file}: see")
    assert "DAMAGED" in table[str(file)]
    assert "damaged or truncated" in table[str(file)]
    assert f"replace {file}, which is used in place, or remove its folder from data.mirrors" in table[str(file)]


WITHOUT_ONE = dict.fromkeys(
    f"2afc/val/cnn/{file}" for file in ("ref/000001.png", "p0/000001.png", "p1/000001.png", "judge/000001.npy")
)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"2afc/../../evil.png": b"x"}, r"DAMAGED: .*member '../../evil.png' leads outside the target"),
        ({"2afc/val/cnn/p0/000001.png": None}, r"DAMAGED: .*: 2afc/val/cnn/p0 has no file 000001 \(1 missing\)"),
        ({"2afc/val/new/judge/000001.npy": b"x"}, r"DAMAGED: .*: 2afc/val/new/ref has no file 000001 \(1 missing\)"),
        (WITHOUT_ONE, r"WRONG COUNT: 2afc/val/cnn 5 \(expected 6\): replace /.*, which is used in place"),
        (
            {name.replace("cnn", "new"): b"x" for name in WITHOUT_ONE},
            r"WRONG COUNT: 2afc/val/new 1 \(expected no such split\): replace /",
        ),
    ],
)
def test_wrong_files_in_an_archive_that_was_never_packed_are_found(mirror, verify, change, verdict):
    files = {**dict(members("2afc", "val", FEW, 0, size=64)), **change}
    file = mirror / "twoafc_val.tar.gz"
    write_archive(file, ((name, content) for name, content in files.items() if content is not None), "2afc/")
    assert re.search(verdict, verify("splits=val", error=f"not good: {file}: see")[str(file)])


def test_an_archive_of_another_size_than_published_is_a_warning_and_no_failure(mirror, verify, caplog, monkeypatch):
    assert re.search(r"jnd.tar.gz +0.00 GB +about 0.0 GB ", verify("splits=val")[f"{mirror}/jnd.tar.gz"])
    assert "expected about" not in caplog.text
    monkeypatch.setitem(ARCHIVES, ("jnd", "val"), ARCHIVES["jnd", "val"]._replace(size=200_000_000))
    assert re.search(r"jnd.tar.gz +0.00 GB +about 0.2 GB ", verify("splits=val")[f"{mirror}/jnd.tar.gz"])
    assert caplog.text.count(f"ATTENTION: {mirror}/jnd.tar.gz has 0.00 GB") == 1
