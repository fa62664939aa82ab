"""Packing straight from an archive, and what of an archive is refused."""

import gzip
import io
import tarfile
from collections import Counter
from concurrent.futures import Future

import numpy as np
import pytest
from PIL import Image

from lpips_repro.datasets.packed import open_split
from lpips_repro.datasets.packing import archives as archive_module
from lpips_repro.datasets.packing.archive_members import ArchiveError, Member
from lpips_repro.datasets.packing.archives import pack_archive
from lpips_repro.datasets.packing.folders import pack_split
from lpips_repro.datasets.packing.layout import find_splits
from lpips_repro.datasets.packing.patches import PatchForm
from lpips_repro.errors import UserError
from tests.datasets.archives import members, npy, png, write_archive
from tests.datasets.killed import die

COUNTS = {("2afc", "val", "traditional"): 7, ("2afc", "val", "cnn"): 5}
FORM = PatchForm(64, "exact")


def pack(path, tmp_path, workers=1, **changes):
    settings = {"skip": (), "check": lambda sha256, counts: None, "unpack": None, "form": FORM} | changes
    return pack_archive(
        path,
        "2afc/",
        lambda key: tmp_path / "packed" / "-".join(key),
        spool=tmp_path / "packed" / ".spool",
        dataset="bapps",
        observers="human",
        workers=workers,
        **settings,
    )


def files(seed=0, **form):
    return list(members("2afc", "val", COUNTS, seed, **form))


def left_behind(tmp_path):
    folder = tmp_path / "packed"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("form", [FORM, PatchForm(64, "pil_bilinear"), PatchForm(32, "pil_bicubic")])
def test_packed_splits_are_those_of_the_unpacked_files(tmp_path, form):
    written = files()
    path = write_archive(tmp_path / "a.tar.gz", written, "2afc/")
    for name, content in written:
        file = tmp_path / "files" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    packed = {split.card["split"]: split for split in pack(path, tmp_path, form=form)}
    for folder in find_splits(tmp_path / "files", "val"):
        expected = pack_split(folder, tmp_path / "from_files" / folder.split, form, "bapps", "human", 1)
        assert packed[folder.split].card["digest"] == expected.card["digest"]
        assert packed[folder.split].size == (form.size, form.size)
    assert left_behind(tmp_path) == ["2afc-val-cnn", "2afc-val-traditional"]


def test_order_of_members_and_number_of_workers_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "CHUNK", 2)
    written = files()
    digests = []
    for name, order, workers in (("a", written, 1), ("b", sorted(written), 2), ("c", sorted(written)[::-1], 2)):
        path = write_archive(tmp_path / name / "a.tar.gz", order, "2afc/")
        digests.append([split.card["digest"] for split in pack(path, tmp_path / name, workers)])
    assert digests[0] == digests[1] == digests[2]


def test_unpacked_files_are_those_of_the_archive(tmp_path):
    written = files()
    path = write_archive(tmp_path / "a.tar.gz", written, "2afc/")
    pack(path, tmp_path, unpack=tmp_path / "files")
    found = {str(f.relative_to(tmp_path / "files")): f.read_bytes() for f in (tmp_path / "files").rglob("*.*")}
    assert found == dict(written)


def test_splits_to_skip_are_left_alone(tmp_path):
    path = write_archive(tmp_path / "a.tar.gz", files(), "2afc/")
    assert [s.card["split"] for s in pack(path, tmp_path, skip=[("2afc", "val", "cnn")])] == ["traditional"]


def test_files_outside_the_layout_are_skipped_and_counted(tmp_path, caplog):
    extra = [("2afc/val/README", b"hello"), ("2afc/val/cnn/ref/.DS_Store", b"x")]
    path = write_archive(tmp_path / "a.tar.gz", [*files(), *extra], "2afc/")
    with caplog.at_level("WARNING"):
        pack(path, tmp_path)
    assert "skipped 2 files" in caplog.text


def test_images_not_of_the_stored_form_are_named(tmp_path, caplog):
    written = dict(files())
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    written["2afc/val/cnn/p0/000003.png"] = file.getvalue()
    path = write_archive(tmp_path / "a.tar.gz", written.items(), "2afc/")
    packed = pack(path, tmp_path)
    assert [split.card["not_of_stored_form"] for split in packed] == [["p0/000003.png"], []]
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert warning.startswith(f"{path}:2afc/val/cnn: 1 of 15 images are not of the stored form")
    assert warning.endswith(": p0/000003.png")


def test_large_images_go_to_the_workers_in_smaller_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "CHUNK_BYTES", 2500)
    batches = []

    class Pool:
        def submit(self, function, raw, name, batch, form):
            batches.append([stem for stem, _, _ in batch])
            (done := Future()).set_result((Counter(), []))
            return done

    key = ("2afc", "val", "cnn")
    images = (Member(key, "ref", f"{index}", f"{index}.png", bytes(1000)) for index in range(7))
    archive_module._spool_members(images, tmp_path / "a.tar.gz", (), tmp_path, FORM, Pool(), 100)
    assert batches == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


def hostile(name, **attributes):
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


BAD_MEMBERS = {
    "absolute": (hostile("/evil/evil.png"), "'/evil/evil.png' leads outside"),
    "parent": (hostile("val/../../evil.png"), r"'val/../../evil.png' leads outside"),
    "backslash": (hostile("val\\..\\evil.png"), "leads outside"),
    "symlink": (hostile("val/link", type=tarfile.SYMTYPE, linkname="/etc"), "'val/link' is a link or device"),
    "hardlink": (hostile("val/hard", type=tarfile.LNKTYPE, linkname="val/x"), "'val/hard' is a link or device"),
    "device": (hostile("val/dev", type=tarfile.CHRTYPE), "'val/dev' is a link or device"),
    "fifo": (hostile("val/fifo", type=tarfile.FIFOTYPE), "'val/fifo' is a link or device"),
    "oversized": (
        hostile("val/cnn/ref/000000.png", size=2_000_000),
        "'val/cnn/ref/000000.png' has 2000000 bytes: .* refused",
    ),
    "sparse": (hostile("val/cnn/ref/000000.png", type=tarfile.GNUTYPE_SPARSE), "000000.png' is sparse: refused"),
}


@pytest.mark.parametrize("kind", BAD_MEMBERS)
@pytest.mark.parametrize("unpack", [False, True])
def test_a_bad_member_is_refused_by_name_and_nothing_is_written_outside(tmp_path, kind, unpack):
    info, message = BAD_MEMBERS[kind]
    path = tmp_path / "in" / "a.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files()[:10]:
            good = tarfile.TarInfo(name.removeprefix("2afc/"))
            good.size = len(content)
            tar.addfile(good, io.BytesIO(content))
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(UserError, match=message):
        pack(path, tmp_path / "out", unpack=tmp_path / "out" / "files" if unpack else None)
    assert left_behind(tmp_path / "out") == []
    assert {p.name for p in tmp_path.rglob("*")}.isdisjoint({"evil.png", "link", "hard", "dev", "fifo"})


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_an_oversized_extension_header_is_refused_before_it_is_read(tmp_path, kind):
    header = hostile("././@LongLink", type=kind, size=1 << 30).tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(header + bytes(1 << 20)))
    with pytest.raises(UserError, match=r"a.tar.gz: member .* is an extension header of 1073741824 bytes"):
        pack(tmp_path / "a.tar.gz", tmp_path)


def test_hidden_twins_of_images_are_skipped(tmp_path):
    twin = ("2afc/val/cnn/ref/._000000.png", b"not an image")
    path = write_archive(tmp_path / "a.tar.gz", [*files(), twin], "2afc/")
    assert [len(split) for split in pack(path, tmp_path)] == [5, 7]


@pytest.mark.parametrize("again", ["val/cnn/ref/000000.png", "./val/cnn/ref/000000.png"])
def test_a_duplicate_is_refused_by_name(tmp_path, again):
    path = write_archive(tmp_path / "a.tar.gz", [*files(), (f"2afc/{again}", b"x")], "2afc/")
    with pytest.raises(UserError, match=r"000000.png' comes twice"):
        pack(path, tmp_path)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_refused_and_leaves_nothing(tmp_path, share):
    path = write_archive(tmp_path / "a.tar.gz", files(), "2afc/")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"a\.tar\.gz: damaged or truncated"):
        pack(path, tmp_path)
    assert left_behind(tmp_path) == []


def test_a_flipped_byte_is_found_by_the_crc(tmp_path):
    path = write_archive(tmp_path / "a.tar.gz", files(), "2afc/")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # of the CRC itself: everything before it reads well
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tar\.gz: damaged or truncated"):
        pack(path, tmp_path)
    assert left_behind(tmp_path) == []


def test_no_archive_at_all_is_named(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"a\.tar\.gz: damaged or truncated"):
        pack(tmp_path / "a.tar.gz", tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("2afc/val/cnn/ref/000000.png", b"no image", r"2afc/val/cnn/ref/000000.png: not a readable image"),
        ("2afc/val/cnn/judge/000000.npy", npy(1.5), r"judge 1.5 in .*judge/000000.npy"),
        ("2afc/val/cnn/judge/000000.npy", b"", r"judge/000000.npy: not a readable .npy"),
        ("2afc/val/cnn/p0/000000.png", None, r"2afc/val/cnn/p0 has no file 000000"),
        ("2afc/val/cnn/judge/000000.npy", None, r"2afc/val/cnn/judge has no file 000000"),
    ],
)
def test_a_bad_or_missing_file_is_named_and_nothing_is_left(tmp_path, name, content, message):
    written = dict(files()) | {name: content}
    if content is None:
        del written[name]
    with pytest.raises(ArchiveError, match=message):  # to which the caller adds a remedy
        pack(write_archive(tmp_path / "a.tar.gz", written.items(), "2afc/"), tmp_path)
    assert left_behind(tmp_path) == []


def test_what_the_check_refuses_is_not_written(tmp_path):
    def refuse(sha256, counts):
        assert counts == COUNTS
        raise UserError("wrong counts")

    path = write_archive(tmp_path / "a.tar.gz", files(), "2afc/")
    with pytest.raises(UserError, match="wrong counts"):
        pack(path, tmp_path, check=refuse)
    assert left_behind(tmp_path) == []


def test_a_full_disk_leaves_no_half_written_split(tmp_path, monkeypatch):
    path = write_archive(tmp_path / "a.tar.gz", files(), "2afc/")
    write_field, calls = archive_module._write_field, []

    def fill_up(*arguments):
        calls.append(arguments)
        if len(calls) == 5:  # in the second split
            raise OSError(28, "No space left on device", str(arguments[0]))
        write_field(*arguments)

    monkeypatch.setattr(archive_module, "_write_field", fill_up)
    with pytest.raises(UserError, match="No space left on device"):
        pack(path, tmp_path)
    assert left_behind(tmp_path) == ["2afc-val-cnn"]
    open_split(tmp_path / "packed" / "2afc-val-cnn").verify()


def test_an_archive_whose_tar_ends_early_is_damaged(tmp_path):
    whole = write_archive(tmp_path / "a.tar.gz", files(), "2afc/")
    content = gzip.decompress(whole.read_bytes())
    whole.write_bytes(gzip.compress(content[: len(content) // 2]))
    with pytest.raises(UserError, match=r"damaged or truncated"):
        pack(whole, tmp_path)
    assert left_behind(tmp_path) == []


def test_png_of_the_generator_is_of_the_stored_form():
    with Image.open(io.BytesIO(png(np.random.default_rng(0)))) as image:
        assert image.size == (256, 256)


def test_a_killed_worker_is_one_line_and_leaves_nothing_half_made(tmp_path, monkeypatch):
    path = write_archive(tmp_path / "x.tar.gz", files(size=64), "2afc/")
    monkeypatch.setattr(archive_module, "_decode", die)
    with pytest.raises(UserError, match=f"^{path}: a worker process was killed, .*data.workers=1") as caught:
        pack(path, tmp_path, workers=2)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "packed").iterdir()) == []
    monkeypatch.undo()
    assert len(pack(path, tmp_path)) == 2
