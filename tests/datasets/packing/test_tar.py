"""A tar stream read strictly: what is damaged is told, and nothing in it takes much memory."""

import io
import struct
import tarfile

import pytest

from lpips_repro.datasets.packing.tar import LARGEST_EXTENSION, MOST_EXTENSIONS, TarStream
from lpips_repro.errors import UserError
from tests.datasets.memory import memory_at_most

BLOCK = 512
END = bytes(2 * BLOCK)


def header(name="a", **attributes):
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def pad(content):
    return content + bytes(-len(content) % BLOCK)


def extension(kind, content):
    return header("././@x", type=kind, size=len(content)) + pad(content)


def record(key, value):
    length = len(f" {key}={value}\n")
    length += len(str(length + len(str(length))))
    return f"{length} {key}={value}\n".encode()


def read(content):
    tar = TarStream(io.BytesIO(content))
    return [(member.name, member.size, tar.read() if member.isreg() else None) for member in tar]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_members_are_those_that_the_standard_library_reads(form):
    names = ["short", "d" * 90 + "/" + "e" * 90, "folder/"]
    if form != tarfile.USTAR_FORMAT:
        names += ["f" * 250, "ü/日本"]
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form, pax_headers={"comment": "x"}) as tar:
        for size, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size, info.type = (0, tarfile.DIRTYPE) if name.endswith("/") else (size * 300, tarfile.REGTYPE)
            info.mtime = 1.5  # a pax header of its own
            tar.addfile(info, io.BytesIO(bytes([size]) * info.size))
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        expected = [(m.name, m.size, tar.extractfile(m).read() if m.isreg() else None) for m in tar]
    assert read(file.getvalue()) == expected
    assert len(expected) == len(names)


def test_content_that_is_not_read_is_skipped():
    content = header("a", size=3_000_000) + pad(bytes(3_000_000)) + header("b", size=1) + pad(b"x") + END
    assert [member.name for member in TarStream(io.BytesIO(content))] == ["a", "b"]


@pytest.mark.parametrize("end", [END, bytes(BLOCK), bytes(20 * BLOCK)])
def test_zeros_are_the_end(end):
    assert read(header("a") + end) == [("a", 0, b"")]


GOOD = header("a", size=3) + pad(b"abc")


@pytest.mark.parametrize(
    "content",
    [
        GOOD,  # no mark of the end
        GOOD + header("b")[:100],
        GOOD + END + GOOD + END,
        GOOD + bytes(BLOCK - 1) + b"x",
        GOOD + extension(tarfile.XHDTYPE, record("path", "b")) + END,
        header("a", size=600) + pad(b"abc"),
        header("a", size=-1) + END,
        b"",
        b"<html>" * 100,
        *(
            extension(tarfile.XHDTYPE, said) + GOOD + END
            for said in (b"11 path=b\n", b"8 path=b\n", b"-1 a=b\n", b"0 a=b\n", b"6 path", b"x a=b\n", b"a=b\n")
        ),
        extension(tarfile.XHDTYPE, record("size", "-512")) + GOOD + END,
        extension(tarfile.XHDTYPE, record("size", "x")) + GOOD + END,
    ],
)
def test_damage_is_an_error(content):
    with pytest.raises((tarfile.TarError, EOFError, ValueError)):
        read(content)


@pytest.mark.parametrize("at", range(BLOCK, 2 * BLOCK, 11))
def test_a_flipped_bit_in_a_header_is_an_error(at):
    """`tarfile` takes such a header for the end of the archive."""
    content = bytearray(header("a") + header("b") + header("c") + END)
    content[at] ^= 4
    with pytest.raises(tarfile.TarError):
        read(bytes(content))


def sparse_header(extended):
    block = bytearray(header("s", type=tarfile.GNUTYPE_SPARSE, size=512))
    block[482] = extended
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


# Each would take tens of megabytes in `tarfile`.
HUNGRY = {
    "sparse map": sparse_header(True) + (struct.pack("12s12s", b"1", b"1") * 21 + b"\1" + bytes(7)) * 20_000,
    "sparse map in pax": extension(tarfile.XHDTYPE, record("GNU.sparse.major", 1) + record("GNU.sparse.minor", 0))
    + header("s", size=10_000_000)
    + pad(b"5000000\n" + b"1\n" * 4_999_996),
    "global headers": b"".join(
        extension(tarfile.XGLTYPE, record(f"key{i}", "x" * (LARGEST_EXTENSION - 20))) + header(f"{i}")
        for i in range(1000)
    ),
}


@pytest.mark.parametrize("kind", HUNGRY)
def test_nothing_takes_much_memory(kind):
    stream = io.BytesIO(HUNGRY[kind] + END)
    members = 0
    with memory_at_most(2_000_000):
        for member in TarStream(stream):
            members += 1
            if "sparse" in kind:
                assert member.type == tarfile.GNUTYPE_SPARSE
                return
    assert members == 1000


@pytest.mark.parametrize("kind", [tarfile.XGLTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_extension_headers_in_a_row_are_limited(kind):
    one = extension(kind, record("path", "b"))
    assert len(read(one * MOST_EXTENSIONS + header() + END)) == 1
    with pytest.raises(UserError, match=f"more than {MOST_EXTENSIONS} extension headers"):
        read(one * 100_000 + header() + END)
