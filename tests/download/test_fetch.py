import errno
import io
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lpips_repro.download import fetch as fetch_module
from lpips_repro.download.fetch import fetch_archive
from lpips_repro.download.partial_download import GZIP, PartialDownload
from lpips_repro.errors import UserError
from tests.datasets.full_disk import run_on_full_disk
from tests.datasets.server import Step, serve
from tests.processes import PATIENCE

NAME = "jnd.tar.gz"
CONTENT = GZIP + random.Random(0).randbytes(299_997)
OTHER = GZIP + random.Random(1).randbytes(249_997)
THIRD = GZIP + random.Random(2).randbytes(299_997)  # as long as CONTENT


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def fetch(folder, *mirrors, attempts=4, needed_bytes=0, timeout=0.5):
    return fetch_archive(
        NAME, mirrors, folder, needed_bytes=needed_bytes, timeout=timeout, attempts=attempts, backoff=0.01
    )


def assert_only_file(path, content=CONTENT):
    assert path.name == NAME
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def begin(folder, server, bytes_kept):
    """Run a download that is cut after some bytes."""
    server.script.insert(0, Step(cut=bytes_kept))
    with pytest.raises(UserError):
        fetch(folder, server.url, attempts=0)
    assert (folder / f"{NAME}.part").read_bytes() == server.content[:bytes_kept]


# Servers that work


def test_a_file_is_downloaded_and_no_other_file_is_left(tmp_path):
    with serve(CONTENT) as server:
        assert_only_file(fetch(tmp_path / "new" / "folder", f"{server.url}/"))
    assert server.paths == [f"/dataset/{NAME}"]
    assert server.requests[0]["Accept-Encoding"] == "identity"


def test_a_complete_file_is_returned_without_a_request(tmp_path, caplog):
    (tmp_path / NAME).write_bytes(OTHER)
    with serve(CONTENT) as server, caplog.at_level(logging.INFO):
        assert fetch(tmp_path, server.url) == tmp_path / NAME
    assert server.requests == []
    assert f"{tmp_path / NAME}: already complete" in caplog.text


def test_a_file_that_is_declared_as_an_encoding_is_not_decoded(tmp_path):
    with serve(CONTENT, Content_Encoding="gzip") as server:
        assert_only_file(fetch(tmp_path, server.url))


def test_a_redirect_is_followed(tmp_path):
    with serve(CONTENT) as server, serve(b"", after=Step(302, {"Location": f"{server.url}/x?key=1"})) as front:
        assert_only_file(fetch(tmp_path, front.url))


def test_chunks_without_a_length_are_accepted_if_they_end_properly(tmp_path):
    with serve(CONTENT, after=Step(chunked=True, ranges=False)) as server:
        server.script = [Step(chunked=True, ranges=False, cut=100_000)]
        assert_only_file(fetch(tmp_path, server.url))


# Cuts and resuming


def test_a_cut_download_resumes_and_no_byte_is_sent_twice(tmp_path):
    with serve(CONTENT, Step(cut=100_000), Step(cut=0), Step(cut=1), Step(cut=99_999)) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert server.served == len(CONTENT)
    assert server.ranges == [f"bytes={start}-" for start in (0, 100_000, 100_000, 100_001, 200_000)]
    assert [request.get("If-Range") for request in server.requests] == [None, *['"1"'] * 4]


def test_without_an_etag_resuming_is_conditional_on_the_date(tmp_path):
    with serve(CONTENT, Step(cut=100_000), ETag=None) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert server.requests[1]["If-Range"] == server.headers["Last-Modified"]
    assert server.served == len(CONTENT)


def test_a_weak_etag_is_not_used_as_a_condition(tmp_path):
    with serve(CONTENT, Step(cut=100_000), ETag='W/"1"', Last_Modified=None) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert "If-Range" not in server.requests[1]
    assert server.served == len(CONTENT)


def test_a_reset_is_resumed(tmp_path):
    with serve(CONTENT, Step(cut=100_000, reset=True), Step(cut=50_000, reset=True)) as server:
        assert_only_file(fetch(tmp_path, server.url))


def test_a_stall_ends_after_the_timeout_and_the_download_resumes(tmp_path, caplog):
    with serve(CONTENT, Step(stall=100_000), Step(stall=0)) as server:
        assert_only_file(fetch(tmp_path, server.url, timeout=0.3))
    assert server.served == len(CONTENT)
    assert caplog.text.count("no answer or no bytes for 0.3 s") == 2


def test_a_cut_in_chunks_is_resumed(tmp_path):
    with serve(CONTENT, Step(chunked=True, cut=100_000)) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert server.served == len(CONTENT)


def test_the_next_run_resumes(tmp_path):
    with serve(CONTENT) as server:
        begin(tmp_path, server, 123_456)
        assert_only_file(fetch(tmp_path, server.url))
    assert server.served == len(CONTENT)


def test_a_killed_run_is_resumed_by_the_next(tmp_path):
    code = f"""
from pathlib import Path
from lpips_repro.download.fetch import fetch_archive
fetch_archive({NAME!r}, [{{url!r}}], Path({str(tmp_path)!r}), needed_bytes=0)
"""
    part = tmp_path / f"{NAME}.part"
    with serve(CONTENT, Step(slow=0.02)) as server:
        process = subprocess.Popen([sys.executable, "-c", code.format(url=server.url)])
        while process.poll() is None and not (part.exists() and part.stat().st_size > 100_000):
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        kept = part.stat().st_size
        assert part.read_bytes() == CONTENT[:kept]
        assert_only_file(fetch(tmp_path, server.url))
    assert server.ranges[1] == f"bytes={kept}-"
    # Only bytes that were on their way when the process was killed may be sent again.
    assert server.served <= len(CONTENT) + 100_000


def test_a_run_killed_before_the_renaming_needs_no_request(tmp_path):
    with serve(CONTENT) as server:
        begin(tmp_path, server, 100_000)
        (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
        assert_only_file(fetch(tmp_path, server.url))
    assert len(server.requests) == 1


@pytest.mark.parametrize("card", [None, "", "[]", "[" * 100_000, '{"total": null}', json.dumps({"total": 99_999})])
def test_a_part_of_an_unknown_file_is_not_resumed(tmp_path, card):
    (tmp_path / f"{NAME}.part").write_bytes(OTHER[:100_000])
    if card is not None:
        (tmp_path / f"{NAME}.part.json").write_text(card)
    with serve(CONTENT) as server:
        assert_only_file(fetch(tmp_path, server.url))


# Servers whose answers differ from the request


def test_a_server_that_ignores_range_is_read_from_the_beginning(tmp_path, caplog):
    with serve(CONTENT, Step(cut=100_000), after=Step(ranges=False)) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert len(server.requests) == 2
    assert "starting over" in caplog.text


def test_a_server_that_always_starts_over_is_not_tried_forever(tmp_path):
    with serve(CONTENT, after=Step(ranges=False, cut=100_000)) as server:
        with pytest.raises(UserError, match="not available from any mirror"):
            fetch(tmp_path, server.url, attempts=3)
        assert len(server.requests) == 4


def test_a_file_that_always_changes_is_not_tried_forever(tmp_path):
    changes = [Step(headers={"ETag": '"1"'}, cut=100_000), Step(headers={"ETag": '"2"'}, cut=50_000)]
    with serve(CONTENT, *changes * 20) as server, pytest.raises(UserError, match="not available from any mirror"):
        fetch(tmp_path, server.url, attempts=3)
    assert len(server.requests) == 4


def test_a_wrong_start_is_not_used(tmp_path):
    with serve(CONTENT, Step(cut=100_000), Step(start_error=-1000), Step(cut=5000)) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert server.ranges == ["bytes=0-", "bytes=100000-", None, "bytes=5000-"]


def test_a_server_whose_ranges_are_all_wrong_is_read_without_them(tmp_path):
    with serve(CONTENT, after=Step(start_error=1)) as server:
        assert_only_file(fetch(tmp_path, server.url))


def test_a_refused_range_starts_over(tmp_path):
    with serve(CONTENT, Step(cut=100_000), Step(416)) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert server.ranges == ["bytes=0-", "bytes=100000-", None]


def test_a_too_large_announced_length_is_corrected_by_the_refused_range(tmp_path):
    with serve(CONTENT, Step(ranges=False, length_error=100)) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert server.ranges == ["bytes=0-", f"bytes={len(CONTENT)}-"]
    assert server.served == len(CONTENT)


def test_a_too_small_announced_length_is_not_treated_as_the_end(tmp_path):
    with serve(CONTENT, Step(length_error=-200_000), Step(length_error=-100)) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert server.ranges == ["bytes=0-", "bytes=100000-", "bytes=299900-"]


def test_more_bytes_than_announced_are_not_treated_as_the_file(tmp_path):
    with serve(CONTENT, after=Step(chunked=True, total_error=-100)) as server:
        with pytest.raises(UserError, match="sent more than the 299900 bytes announced"):
            fetch(tmp_path, server.url)
        assert not (tmp_path / NAME).exists()
        server.after = Step()
        assert_only_file(fetch(tmp_path, server.url))


def test_a_range_longer_than_the_file_is_not_used(tmp_path):
    with serve(CONTENT, Step(cut=100_000), Step(length_error=1)) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert server.ranges == ["bytes=0-", "bytes=100000-", None]


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize(
    "changed",
    [{"ETag": '"2"'}, {"ETag": None, "Last-Modified": "Fri, 12 Jan 2018 00:00:00 GMT"}, {}],
    ids=["etag", "date", "length"],
)
@pytest.mark.parametrize("across_runs", [False, True])
def test_a_file_that_changed_is_downloaded_again(tmp_path, changed, if_range, across_runs):
    with serve(CONTENT) as server:
        if across_runs:
            begin(tmp_path, server, 100_000)
        else:
            server.script.append(Step(cut=100_000))
        changed_content = OTHER if not changed else THIRD
        server.script.append(Step(content=changed_content, headers=changed, if_range=if_range))
        server.after = Step(headers=changed)
        assert_only_file(fetch(tmp_path, server.url), changed_content)


def test_a_server_that_announces_no_end_is_refused(tmp_path):
    endless = Step(ranges=False, headers={"Content-Length": None})
    with serve(CONTENT, after=endless) as server, pytest.raises(UserError, match="announces no length"):
        fetch(tmp_path, server.url)
    assert not (tmp_path / NAME).exists()


# Answers with 200 OK that are not the archive

DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)
JUNK = {
    "xml": (
        DENIED,
        "application/xml",
        'not a gzip file (application/xml): it begins with \'<?xml version="1.0" encoding="UTF-8"?> <Error>'
        "<Code>AccessDenied</Code><Message>Access Denied</Message></Error>'",
    ),
    "page": (b"<html>log in</html>", "text/html", "not a gzip file (text/html): it begins with '<html>log in</html>'"),
    "text": (
        b"Log in at https://a:b@portal/?key=c \n first" + b"." * 300_000,
        "text/plain",
        "not a gzip file (text/plain): it begins with 'Log in at https://portal/ first....",
    ),
    "garbage": (b"\x00\x01\xfe" * 100, None, "not a gzip file: it begins with bytes 00 01 fe 00 01 fe 00 01"),
    "two bytes": (GZIP[:2], None, "not a gzip file: it begins with bytes 1f 8b"),
    "nothing": (b"", "application/x-tar", "an empty file"),
}


WHOLE = {"ranges": Step(), "no ranges": Step(ranges=False), "chunks": Step(ranges=False, chunked=True)}


@pytest.mark.parametrize("kept", [0, 100_000])
@pytest.mark.parametrize("step", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("junk", JUNK)
def test_after_a_mirror_with_another_file_the_next_one_resumes_the_kept_bytes(tmp_path, junk, step, kept):
    content, kind, reason = JUNK[junk]
    with serve(CONTENT) as good, serve(content, after=step, Content_Type=kind, ETag='"2"') as bad:
        if kept:
            begin(tmp_path, good, kept)
            good.script.append(Step(404))
        with pytest.raises(UserError) as caught:
            fetch(tmp_path, bad.url, *([good.url] if kept else []))
        assert f"{bad.url}/{NAME}: its file is {reason}" in str(caught.value)
        if kept:
            assert f"{kept} bytes are kept in" in str(caught.value)
            assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:kept]
        else:
            assert "no bytes were received that the next run can resume" in str(caught.value)
            assert list(tmp_path.iterdir()) == []
        assert_only_file(fetch(tmp_path, bad.url, good.url))
    assert good.served == len(CONTENT)
    assert len(bad.requests) <= 4


def test_a_file_that_is_not_gzip_is_refused_at_its_first_bytes(tmp_path):
    with serve(b"<" * 300_000, after=Step(stall=100)) as server, pytest.raises(UserError, match="file is not a gzip"):
        fetch(tmp_path, server.url, timeout=9)
    assert len(server.requests) == 1


def test_a_file_that_arrives_byte_by_byte_is_accepted(tmp_path):
    with serve(CONTENT[:50], after=Step(chunked=True, block=1, slow=0.001)) as server:
        assert_only_file(fetch(tmp_path, server.url), CONTENT[:50])
    assert len(server.requests) == 1


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_after_a_cut_in_the_first_bytes_there_is_another_attempt(tmp_path, cut):
    unannounced = Step(cut=cut, headers={"Content-Length": None})
    with serve(CONTENT, Step(cut=cut), Step(cut=cut, chunked=True), unannounced) as server:
        assert_only_file(fetch(tmp_path, server.url))
    assert len(server.requests) == 4


@pytest.mark.parametrize("step", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("kept", [0, 100_000])
def test_a_file_of_less_than_half_of_the_published_size_is_refused(tmp_path, step, kept):
    published = len(CONTENT) + 10
    with serve(CONTENT) as good, serve(CONTENT[: published // 2 - 1], after=step, ETag='"2"') as small:
        if kept:
            begin(tmp_path, good, kept)
        with pytest.raises(
            UserError, match=f"its file has {published // 2 - 1} bytes, less than half of the published"
        ):
            fetch(tmp_path, small.url, needed_bytes=published)
        assert not (tmp_path / NAME).exists()
        assert_only_file(fetch(tmp_path, small.url, good.url, needed_bytes=published))
    assert good.served == len(CONTENT)


def test_a_file_of_half_of_the_published_size_is_accepted(tmp_path):
    with serve(CONTENT) as server:
        assert_only_file(fetch(tmp_path, server.url, needed_bytes=2 * len(CONTENT) + 1))


@pytest.mark.parametrize("kept", [0, 100_000])
@pytest.mark.parametrize("published", [0, len(CONTENT)])
@pytest.mark.parametrize("ranges", [True, False])
def test_an_absurd_length_does_not_prevent_the_next_mirrors(tmp_path, monkeypatch, kept, published, ranges):
    set_free(monkeypatch, 10**9)
    size = {"length_error": 10**13, "total_error": 10**13}
    with serve(CONTENT) as good, serve(CONTENT, after=Step(**size, ranges=ranges), ETag='"2"') as absurd:
        if kept:
            begin(tmp_path, good, kept)
        assert_only_file(fetch(tmp_path, absurd.url, good.url, needed_bytes=published))
    assert good.served == len(CONTENT)


def test_a_file_of_more_than_twice_the_published_size_is_refused(tmp_path):
    with serve(CONTENT) as server:
        with pytest.raises(UserError, match="its file has 300000 bytes, more than twice the published size"):
            fetch(tmp_path, server.url, needed_bytes=len(CONTENT) // 2 - 1)
        assert_only_file(fetch(tmp_path, server.url, needed_bytes=len(CONTENT) // 2))


def test_a_file_without_a_length_is_refused_at_twice_the_published_size(tmp_path):
    endless = Step(chunked=True, ranges=False, slow=0.01)
    with serve(CONTENT, endless) as server:
        with pytest.raises(UserError, match=r"bytes, more than twice the published size"):
            fetch(tmp_path, server.url, needed_bytes=20_000)
        assert server.served < len(CONTENT)


@pytest.mark.parametrize(
    ("published", "reason"), [(2 * len(CONTENT) + 2, "less than half of"), (1000, "more than twice")]
)
def test_a_local_file_whose_size_is_not_the_published_one_is_skipped(tmp_path, published, reason):
    (tmp_path / "usb").mkdir()
    (tmp_path / "usb" / NAME).write_bytes(CONTENT)
    with pytest.raises(UserError, match=f"usb/{NAME}: its file has 300000 bytes, {reason} the published size"):
        fetch(tmp_path / "new", str(tmp_path / "usb"), needed_bytes=published)


def test_a_file_that_ends_too_early_is_not_complete(tmp_path):
    longer = Step(ranges=False, length_error=len(CONTENT))
    with serve(CONTENT[:100_000], longer) as small, serve(CONTENT) as good:
        with pytest.raises(UserError, match="its file has 100000 bytes, less than half"):
            fetch(tmp_path, small.url, needed_bytes=len(CONTENT))
        assert small.ranges == ["bytes=0-", "bytes=100000-"]
        assert_only_file(fetch(tmp_path, small.url, good.url, needed_bytes=len(CONTENT)))


@pytest.mark.parametrize(
    ("content", "published"),
    [(DENIED, 0), (b"", 0), (GZIP[:2], 0), (CONTENT[:1000], len(CONTENT))],
    ids=["xml", "nothing", "two bytes", "small"],
)
@pytest.mark.parametrize("rest", [0, 1])
def test_kept_bytes_of_another_file_are_not_resumed(tmp_path, content, published, rest):
    card = {"address": "", "total": len(content) + rest, "etag": None, "modified": None}
    (tmp_path / f"{NAME}.part").write_bytes(content)
    (tmp_path / f"{NAME}.part.json").write_text(json.dumps(card))
    with serve(CONTENT) as server:
        assert_only_file(fetch(tmp_path, server.url, needed_bytes=published))
    assert server.ranges == ["bytes=0-"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (DENIED, "not a gzip file: it begins with '<?xml"),
        (bytes(1000), "not a gzip file: it begins with bytes 00 00"),
        (None, "no such file"),  # a folder of that name
    ],
    ids=["nothing", "xml", "zeros", "folder"],
)
def test_a_damaged_file_of_a_local_mirror_does_not_prevent_the_next_mirrors(tmp_path, caplog, content, reason):
    damaged, whole = tmp_path / "usb" / NAME, tmp_path / "disk" / NAME
    damaged.parent.mkdir()
    damaged.mkdir() if content is None else damaged.write_bytes(content)
    with pytest.raises(UserError) as caught:
        fetch(tmp_path / "new", f"file://{tmp_path}/usb", str(tmp_path / "usb"))
    assert str(caught.value).count(f" {damaged}: {reason}") == 2
    with serve(CONTENT) as server:
        assert_only_file(fetch(tmp_path / "new", str(tmp_path / "usb"), server.url))
    assert f"{damaged}: {reason}" in caplog.text
    whole.parent.mkdir()
    whole.write_bytes(CONTENT)
    assert fetch(tmp_path / "other", str(tmp_path / "usb"), str(tmp_path / "disk")) == whole
    assert damaged.is_dir() if content is None else damaged.read_bytes() == content


# Bytes that are kept while a mirror starts over


def test_bytes_of_one_mirror_stay_if_another_one_starts_over_and_fails(tmp_path):
    with (
        serve(CONTENT, Step(cut=210_000), after=Step(404)) as first,
        serve(CONTENT, after=Step(ranges=False, cut=90_000)) as second,
    ):
        with pytest.raises(UserError, match="210000 bytes are kept in"):
            fetch(tmp_path, first.url, second.url)
        assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:210_000]
        assert not (tmp_path / f"{NAME}.part.new").exists()
        assert len(second.requests) == 4
        first.after = Step()
        assert_only_file(fetch(tmp_path, first.url, second.url))
    assert first.served == len(CONTENT)
    assert first.ranges == ["bytes=0-", "bytes=210000-", "bytes=210000-"]


@pytest.mark.parametrize("etag", ['"1"', '"2"', None])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_mirror_that_starts_over_and_sends_all_is_accepted(tmp_path, chunked, etag):
    whole = Step(ranges=False, chunked=chunked)
    with serve(CONTENT, Step(cut=210_000), after=Step(404)) as first, serve(CONTENT, after=whole, ETag=etag) as second:
        assert_only_file(fetch(tmp_path, first.url, second.url))
    assert (first.served, second.served) == (210_000, len(CONTENT))


def test_if_a_mirror_starts_over_and_sends_more_its_bytes_are_resumed(tmp_path, monkeypatch):
    sizes = []
    write = PartialDownload.write

    def watch(part, file, chunk):
        sizes.append(part.path.stat().st_size)
        write(part, file, chunk)
        assert CONTENT.startswith(part.path.read_bytes())

    monkeypatch.setattr(PartialDownload, "write", watch)
    with (
        serve(CONTENT, Step(cut=100_000), after=Step(404)) as first,
        serve(CONTENT, Step(ranges=False, cut=50_000), Step(cut=100_000), after=Step(404)) as second,
    ):
        with pytest.raises(UserError, match="150000 bytes are kept in"):
            fetch(tmp_path, first.url, second.url)
        assert sizes == sorted(sizes)
        assert second.ranges == ["bytes=100000-", "bytes=50000-", "bytes=150000-"]
        first.after = Step()
        assert_only_file(fetch(tmp_path, first.url))
    assert (first.served, second.served) == (250_000, 150_000)


def test_a_file_of_unknown_length_replaces_kept_bytes_only_if_complete(tmp_path):
    with serve(CONTENT) as first, serve(CONTENT, after=Step(ranges=False, chunked=True, cut=200_000)) as second:
        begin(tmp_path, first, 100_000)
        with pytest.raises(UserError, match="100000 bytes are kept in"):
            fetch(tmp_path, second.url)
        assert_only_file(fetch(tmp_path, first.url))
    assert first.served == len(CONTENT)


def test_a_complete_shorter_file_replaces_more_bytes_of_another_file(tmp_path):
    with serve(CONTENT) as first, serve(OTHER, ETag='"2"') as second:
        begin(tmp_path, first, 290_000)
        assert_only_file(fetch(tmp_path, second.url), OTHER)


def test_new_bytes_of_a_killed_run_that_started_over_are_removed(tmp_path):
    with serve(CONTENT) as server:
        begin(tmp_path, server, 100_000)
        (tmp_path / f"{NAME}.part.new").write_bytes(OTHER[:50_000])
        assert_only_file(fetch(tmp_path, server.url))
    assert server.served == len(CONTENT)


@pytest.mark.parametrize("moves", range(4))
def test_a_kill_during_a_replacement_loses_nothing(tmp_path, moves):
    """The process kills itself instead of renaming a file."""
    code = f"""
import os, signal
from pathlib import Path
replace, left = Path.replace, iter(range({moves}))
def count(path, target):
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(path, target)
Path.replace = count
{FETCH}"""
    with serve(CONTENT, after=Step(ranges=False)) as restarting, serve(CONTENT) as good:
        begin(tmp_path, good, 100_000)
        process = subprocess.run([sys.executable, "-c", code, str(tmp_path), restarting.url], timeout=PATIENCE)
        assert process.returncode == -signal.SIGKILL
        kept, _ = PartialDownload(tmp_path / f"{NAME}.part").kept
        assert (kept > 100_000) == (moves > 0)
        assert_only_file(fetch(tmp_path, good.url))
        assert good.served == 100_000 + len(CONTENT) - kept


# Trying again, and the next mirror


@pytest.fixture
def pauses(monkeypatch):
    taken = []
    monkeypatch.setattr(fetch_module.time, "sleep", taken.append)
    return taken


def test_after_temporary_errors_there_is_another_attempt_after_the_requested_pause(tmp_path, pauses):
    steps = [Step(500), Step(503, {"Retry-After": "7"}), Step(429, {"Retry-After": "86400"}), Step(408)]
    with serve(CONTENT, *steps) as server:
        assert_only_file(fetch(tmp_path, server.url, attempts=5))
    assert pauses == [0.01, 7, fetch_module.LONGEST_PAUSE, 0.08]


def test_new_bytes_reset_the_count_of_attempts(tmp_path, pauses):
    with serve(CONTENT, *[Step(500), Step(500), Step(cut=1000)] * 5) as server:
        assert_only_file(fetch(tmp_path, server.url, attempts=3))
    assert pauses == [0.01, 0.02, 0.01] * 5
    assert server.served == len(CONTENT)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 204])
def test_a_refusal_goes_to_the_next_mirror_at_once(tmp_path, status):
    with serve(b"", after=Step(status)) as first, serve(CONTENT) as second:
        assert_only_file(fetch(tmp_path, first.url, second.url))
    assert len(first.requests) == 1


def test_if_a_mirror_fails_in_the_middle_the_next_one_resumes(tmp_path):
    with (
        serve(CONTENT, Step(cut=100_000), after=Step(500)) as first,
        serve(CONTENT, Step(cut=100_000), ETag=None, Last_Modified="Fri, 12 Jan 2018 00:00:00 GMT") as second,
    ):
        assert_only_file(fetch(tmp_path, first.url, second.url))
    assert first.served + second.served == len(CONTENT)
    assert second.ranges == ["bytes=100000-", "bytes=200000-"]
    assert [request.get("If-Range") for request in second.requests] == [None, second.headers["Last-Modified"]]


@pytest.mark.parametrize("content, etag", [(OTHER, '"1"'), (OTHER, None), (THIRD, '"2"')])
def test_a_mirror_with_another_file_starts_over(tmp_path, content, etag):
    with serve(CONTENT, Step(cut=100_000), after=Step(404)) as first, serve(content, ETag=etag) as second:
        assert_only_file(fetch(tmp_path, first.url, second.url), content)


def test_a_failing_mirror_with_another_file_loses_nothing(tmp_path):
    with (
        serve(CONTENT, Step(cut=100_000)) as first,
        serve(OTHER, Step(), after=Step(500)) as second,
    ):
        begin(tmp_path, first, 50_000)
        with pytest.raises(UserError, match="500"):
            fetch(tmp_path, second.url)
        assert second.ranges == ["bytes=50000-", None, None, None]
        assert_only_file(fetch(tmp_path, first.url))
    assert first.served == len(CONTENT)


def test_if_all_mirrors_fail_one_error_lists_them_and_the_next_run_resumes(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # not listening
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with serve(CONTENT, Step(cut=100_000), after=Step(503)) as first, serve(b"", after=Step(404)) as second:
            mirrors = [first.url, second.url, nobody, str(tmp_path / "usb"), f"file://{tmp_path}/disk"]
            with pytest.raises(UserError) as caught:
                fetch(tmp_path, *mirrors)
            first.after = Step()
            message = str(caught.value)
            assert f"{first.url}/{NAME}: 503 Service Unavailable" in message
            assert f"{second.url}/{NAME}: 404 Not Found" in message
            assert f"{nobody}/{NAME}: [Errno {errno.ECONNREFUSED}] Connection refused" in message
            assert f"{tmp_path}/usb/{NAME}: no such file" in message
            assert f"{tmp_path}/disk/{NAME}: no such file" in message
            assert "100000 bytes are kept in" in message
            assert 'ARGS="data.mirrors=[URL,...]"' in message
            assert f"put the file into {tmp_path}" in message
            assert_only_file(fetch(tmp_path, *mirrors))
    assert first.served == len(CONTENT)


@pytest.mark.parametrize("mirrors", [[], ["http://"], ["http://[::1"], ["https://127.0.0.1:99999999"]])
def test_invalid_addresses_are_a_user_error_at_once(tmp_path, pauses, mirrors):
    with pytest.raises(UserError, match=r"data\.mirrors"):
        fetch(tmp_path, *mirrors)
    assert pauses == []


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_the_file_of_a_local_mirror_is_used_in_place(tmp_path, prefix):
    mirror = tmp_path / "usb stick"
    mirror.mkdir()
    (mirror / NAME).write_bytes(CONTENT)
    address = mirror.as_uri() if prefix else str(mirror)
    assert fetch(tmp_path / "archives", str(tmp_path / "absent"), address) == mirror / NAME
    assert not (tmp_path / "archives").exists()


def test_the_file_of_a_local_mirror_is_used_before_any_download(tmp_path, caplog):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / NAME).write_bytes(CONTENT)
    with serve(CONTENT) as server:
        mirrors = (server.url, str(tmp_path / "absent"), (tmp_path / "disk").as_uri())
        assert fetch(tmp_path / "new", *mirrors) == tmp_path / "disk" / NAME
        assert server.requests == []
        (tmp_path / "disk" / NAME).unlink()
        assert_only_file(fetch(tmp_path / "new", *mirrors))


@pytest.mark.parametrize("mirror", ["disk", "~/disk", "file://{}/disk", "file://localhost{}/disk", "FILE://{}/d%69sk"])
def test_a_local_mirror_may_be_relative_or_in_the_home_or_an_address(tmp_path, monkeypatch, mirror):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / NAME).write_bytes(CONTENT)
    assert fetch(tmp_path / "new", mirror.format(tmp_path)).resolve() == tmp_path / "disk" / NAME


def test_the_query_of_a_mirror_comes_after_the_name_and_is_never_shown(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with serve(CONTENT, after=Step(403)) as server, pytest.raises(UserError) as caught:
        fetch(tmp_path, f"{server.url}/?key=secret&a=b,c#x")
    assert server.paths == [f"/dataset/{NAME}?key=secret&a=b,c"]
    assert f"{server.url}/{NAME}: 403" in str(caught.value)
    assert "secret" not in caplog.text + str(caught.value)


def test_a_password_is_used_but_never_shown(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    steps = [Step(500), Step(cut=1000), Step(403)]
    with serve(CONTENT, *steps) as server, pytest.raises(UserError) as caught:
        fetch(tmp_path, server.url.replace("//", "//user:secret@"))
    assert all(request["Authorization"].startswith("Basic ") for request in server.requests)
    shown = caplog.text + str(caught.value) + (tmp_path / f"{NAME}.part.json").read_text()
    assert "127.0.0.1" in shown
    assert "secret" not in shown


def test_secrets_in_an_answer_are_not_shown_and_the_error_is_one_line(tmp_path, caplog):
    page = b"<html>user me,\npassword p%2Fssword or p/ssword,\ntoken t0ken:\nwrong for /x?key=t0ken</html>"
    with serve(page, after=Step(ranges=False)) as server, pytest.raises(UserError) as caught:
        fetch(tmp_path, server.url.replace("//", "//me:p%2Fssword@") + "?key=t0ken", str(tmp_path / "absent"))
    for shown in (caplog.text, str(caught.value)):
        assert "user me, password *** or ***, token ***: wrong for /x" in shown
        assert "ssword@" not in shown
        assert "t0ken" not in shown
    assert "\n" not in str(caught.value)


def test_after_a_refused_redirect_the_next_mirror_is_tried_at_once(tmp_path, pauses):
    with serve(b"", after=Step(302, {"Location": "ftp://host/x?key=secret"})) as front, serve(CONTENT) as second:
        with pytest.raises(UserError, match="redirects to ftp://host/x: refused: not an address on the web"):
            fetch(tmp_path, front.url)
        assert_only_file(fetch(tmp_path, front.url, second.url))
    assert len(front.requests) == 2
    assert pauses == []


@pytest.mark.parametrize("name", ["", ".", "..", "../x.tar.gz", "/x.tar.gz", "a/b", "a\\b"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="expected a file name") as caught:
        fetch_archive(name, [str(tmp_path)], tmp_path, needed_bytes=0)
    assert not isinstance(caught.value, UserError)


# The disk, and the progress bar


def set_free(monkeypatch, free):
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free})())


def test_too_little_space_for_the_published_size_is_reported_before_any_request(tmp_path, monkeypatch):
    set_free(monkeypatch, 2_000_000_000)
    with serve(CONTENT) as server, pytest.raises(UserError, match=r"2\.00 GB free: .* needs 5\.30 GB") as caught:
        fetch(tmp_path, server.url, needed_bytes=5_300_000_000)
    assert str(tmp_path) in str(caught.value)
    assert server.requests == []


def test_too_little_space_for_the_announced_length_is_reported_before_writing(tmp_path, monkeypatch):
    set_free(monkeypatch, len(CONTENT) - 1)
    with serve(CONTENT) as server, pytest.raises(UserError, match="GB free"):
        fetch(tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []


def test_kept_bytes_need_no_more_space(tmp_path, monkeypatch):
    with serve(CONTENT) as server:
        begin(tmp_path, server, 100_000)
        set_free(monkeypatch, len(CONTENT) - 100_000)
        assert_only_file(fetch(tmp_path, server.url, needed_bytes=len(CONTENT)))


def test_a_mirror_without_ranges_needs_space_in_addition_to_kept_bytes(tmp_path, monkeypatch):
    with serve(CONTENT) as good, serve(CONTENT, after=Step(ranges=False)) as restarting:
        begin(tmp_path, good, 200_000)
        set_free(monkeypatch, 199_999)
        with pytest.raises(UserError, match=r"too little space next to the 200000 bytes kept \(0.00 GB free\)"):
            fetch(tmp_path, restarting.url)
        assert len(restarting.requests) == 1
        assert_only_file(fetch(tmp_path, restarting.url, good.url))
    assert good.served == len(CONTENT)


def test_to_start_over_space_for_kept_or_missing_bytes_is_enough(tmp_path, monkeypatch):
    with serve(CONTENT) as good, serve(CONTENT, after=Step(ranges=False)) as restarting:
        begin(tmp_path, good, 200_000)
        set_free(monkeypatch, 200_000)
        assert_only_file(fetch(tmp_path, restarting.url))


FETCH = f"""
import sys
from pathlib import Path
from lpips_repro.download.fetch import fetch_archive
from lpips_repro.errors import UserError
try:
    fetch_archive({NAME!r}, sys.argv[2:], Path(sys.argv[1]), needed_bytes=0, backoff=0.01)
except UserError as error:
    sys.exit(f"error: {{error}}")
"""


def test_a_disk_that_fills_up_is_one_error_and_written_bytes_are_resumed(tmp_path):
    with serve(CONTENT, Step(slow=0.005)) as server:
        error = run_on_full_disk(100_000, "-c", FETCH, str(tmp_path), server.url)
        assert error == (
            f"error: {tmp_path}/{NAME}.part: cannot be written (File too large): 100000 bytes are kept in"
            f" {tmp_path}/{NAME}.part, and the next run resumes there: free some space, or set another folder with"
            " data.archives"
        )
        assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:100_000]
        assert_only_file(fetch(tmp_path, server.url))
    assert server.ranges == ["bytes=0-", "bytes=100000-"]


def test_a_disk_that_fills_up_while_starting_over_loses_nothing(tmp_path):
    with serve(CONTENT, after=Step(ranges=False)) as restarting, serve(CONTENT) as good:
        begin(tmp_path, good, 100_000)
        error = run_on_full_disk(90_001, "-c", FETCH, str(tmp_path), restarting.url)
        assert "(File too large): 100000 bytes are kept in" in error
        assert not (tmp_path / f"{NAME}.part.new").exists()
        assert_only_file(fetch(tmp_path, good.url))
    assert good.served == len(CONTENT)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_error(tmp_path):
    (tmp_path / f"{NAME}.part").symlink_to("/dev/full")
    with serve(CONTENT) as server:
        with pytest.raises(
            UserError, match=r"\(No space left on device\): no bytes were received that the next run can resume"
        ):
            fetch(tmp_path, server.url)
        (tmp_path / f"{NAME}.part").unlink()
        assert_only_file(fetch(tmp_path, server.url))


def test_a_folder_that_cannot_be_made_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with serve(CONTENT) as server, pytest.raises(UserError, match="cannot be written"):
        fetch(tmp_path / "file" / "archives", server.url)


def test_the_progress_bar_begins_where_the_download_resumes(tmp_path, monkeypatch):
    bars = []

    class Bar(fetch_module.Progress):
        def __init__(self, **options):
            assert "disable" not in options  # shown on a terminal only
            super().__init__(**{**options, "disable": False, "file": io.StringIO()})
            bars.append((options["initial"], self))

    with serve(CONTENT) as server:
        begin(tmp_path, server, 100_000)
        monkeypatch.setattr(fetch_module, "Progress", Bar)
        fetch(tmp_path, server.url)
    ((initial, bar),) = bars
    assert (initial, bar.n, bar.total, bar.unit) == (100_000, len(CONTENT), len(CONTENT), "B")
