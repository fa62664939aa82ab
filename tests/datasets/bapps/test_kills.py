"""A kill at any moment and a disk that fills up: complete files stay, and the next run resumes there."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.bapps.published import ARCHIVES, COUNTS
from lpips_repro.datasets.packed import patch_bytes, write_array
from lpips_repro.datasets.packing.folders import pack_split
from lpips_repro.datasets.packing.layout import find_splits
from lpips_repro.datasets.packing.patches import PatchForm
from tests.datasets.archives import write_archives
from tests.datasets.folders import make_split
from tests.datasets.full_disk import REPOSITORY, run_on_full_disk
from tests.datasets.server import Step, serve
from tests.datasets.small_bapps import SMALL, TINY, prepare_phases, small_settings
from tests.processes import PATIENCE

SCRIPT = ("-m", "tests.datasets.small_bapps")
EXAMPLES = 12  # of each split in the archives that take some time
PATCH_BYTES = patch_bytes(64)


@pytest.fixture
def many(tmp_path, monkeypatch):
    """As the fixture `mirror`, but of archives that take half a second to fetch and as long to pack."""
    for key in COUNTS:
        # The published counts of jnd are rounded to hundreds, so that a few examples count as 0.
        monkeypatch.setitem(COUNTS, key, EXAMPLES if key[:2] == ("2afc", "val") else 0)
    for part, archive in TINY.items():
        monkeypatch.setitem(ARCHIVES, part, archive)
    write_archives(tmp_path / "mirror", dict.fromkeys(COUNTS, EXAMPLES), detail=64)
    return tmp_path / "mirror"


def test_the_script_starts_without_torch():
    """It is started about twenty times, and again in each of its workers: torch would take four seconds each time."""
    code = f"import sys, {SCRIPT[1]}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def prepare(mirror, folder):
    """The digests of the val splits, in this process."""
    splits = prepare_phases(parse(small_settings(mirror, folder, "splits=val"), DatasetConfig))
    return {split.name: split.card["digest"] for split in splits}


def packed_folder(folder):
    return folder / "packed/bapps/exact"


def names(folder, pattern):
    return sorted(path.name for path in folder.glob(pattern))


def state(folder):
    """What shows on disk that a phase is under way (None where nothing does), and changes as it begins."""
    times = {}
    for path in (*folder.glob("archives/*.part"), *packed_folder(folder).glob(".*.spool")):
        with contextlib.suppress(FileNotFoundError):
            times[path.suffix] = (path.stat().st_size, path.stat().st_mtime_ns)
    partial = names(packed_folder(folder), ".*.partial-*")
    return {
        "download": times.get(".part"),
        "packing": (times.get(".spool"), partial) if ".spool" in times or partial else None,
        "writing": partial + names(packed_folder(folder), "[!.]*") or None,  # the last part of packing
    }


def start(server, folder):
    return subprocess.Popen(
        [sys.executable, *SCRIPT, server.url, str(folder), str(EXAMPLES)],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(process, folder, phase, before):
    """Wait until a phase has begun; returns the time, or None where the process ends without it."""
    while process.poll() is None:
        if state(folder)[phase] not in (None, before[phase]):
            return time.monotonic()
        time.sleep(0.001)
    return None


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_never_damages_the_dataset(many, tmp_path, kills):
    """The archives come over HTTP. Each dataset is killed twice in the download and three times in the packing."""
    undisturbed = prepare(many, tmp_path / "undisturbed")
    content = {path.name: path.read_bytes() for path in many.iterdir()}
    with serve(content, after=Step(slow=0.001)) as server:
        folder = tmp_path / "timed"
        before, process = state(folder), start(server, folder)
        begins = [wait_for(process, folder, phase, before) for phase in ("download", "packing", "writing")]
        assert process.wait() == 0
        # Two kills share a download; writing takes no longer than it takes to see it.
        longest = {"download": (begins[1] - begins[0]) / 2, "packing": begins[2] - begins[1], "writing": 0.0}

        rng = random.Random(0)
        killed, dataset = [], 0
        while len(killed) < kills:
            assert dataset < max(4, kills // 2), f"too many runs end before they are killed: {killed}"
            aim = ("download", "download", "packing", "packing", "writing")[len(killed) % 5]
            folder = tmp_path / f"killed-{dataset}"
            before, process = state(folder), start(server, folder)
            if wait_for(process, folder, aim, before):
                time.sleep(rng.uniform(0, longest[aim]))
            alive = process.poll() is None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if alive:
                after = state(folder)
                changed = [phase for phase in ("download", "packing") if after[phase] not in (None, before[phase])]
                killed.append(changed[0] if changed else "between")
            if not alive or len(killed) % 5 == 0:
                dataset += 1

        fell = Counter(killed)
        assert fell["download"] >= kills // 4, fell
        assert fell["packing"] >= kills // 4, fell
        for folder in tmp_path.glob("killed-*"):
            assert prepare(server.url, folder) == undisturbed
            assert names(folder / "archives", "*.part") + names(folder / "archives", "*.new") == []
            assert [path.name for path in packed_folder(folder).glob(".*") if path.is_dir()] == []


def test_workers_of_a_killed_run_end_by_themselves(many, tmp_path):
    """Only the process that was started is killed, as the system does when memory runs out."""
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, *SCRIPT, str(many), str(folder), str(EXAMPLES)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        while not any(raw.stat().st_size for raw in packed_folder(folder).glob(".*.spool/*/*.raw")):
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        # The end of the output comes when the last process that could write to it is gone.
        process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGKILL
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert names(packed_folder(folder), ".*.spool") == [".twoafc_val.tar.gz.spool"]
    assert prepare(many, folder) == prepare(many, tmp_path / "undisturbed")
    assert names(packed_folder(folder), ".*.spool") == []


@pytest.mark.parametrize(
    ("size", "at_fault", "complete"),
    [
        (4 * PATCH_BYTES + 1000, ".twoafc_val.tar.gz.spool", []),
        # The patches of the largest split just fit in, and with the header of the .npy file they do not.
        (
            max(SMALL.values()) * PATCH_BYTES + 64,
            "2afc-val-frameinterp",
            ["2afc-val-cnn", "2afc-val-color", "2afc-val-deblur"],
        ),
    ],
    ids=["decoding", "writing"],
)
def test_a_full_disk_leaves_whole_splits_that_the_next_run_keeps(mirror, tmp_path, size, at_fault, complete):
    packed = packed_folder(tmp_path / "full")
    error = run_on_full_disk(size, *SCRIPT, str(mirror), str(tmp_path / "full"))
    assert error == f"error: {packed / at_fault}: File too large: nothing half-written is left: free some space"
    assert names(packed, "*") == [".lock", *complete]

    def identities():
        files = [file for split in complete for file in (packed / split).iterdir()]
        return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}

    kept = identities()
    assert len(kept) == 5 * len(complete)
    assert prepare(mirror, tmp_path / "full") == prepare(mirror, tmp_path / "undisturbed")
    assert identities() == kept


def test_a_full_disk_leaves_nothing_of_a_split_packed_from_files(tmp_path):
    make_split(tmp_path / "data", count=10)
    code = (
        "import sys; from pathlib import Path; from lpips_repro.entry_point import run\n"
        "from lpips_repro.datasets.packing.layout import find_splits\n"
        "from lpips_repro.datasets.packing.folders import pack_split\n"
        "from lpips_repro.datasets.packing.patches import PatchForm\n"
        "(split,) = find_splits(Path(sys.argv[1]), 'val')\n"
        "run(lambda: pack_split(split, Path(sys.argv[2]), PatchForm(64, 'exact'), 'folder', 'human', 1))\n"
    )
    packed = tmp_path / "packed" / "cnn"
    error = run_on_full_disk(10 * PATCH_BYTES, "-c", code, str(tmp_path / "data"), str(packed))
    assert error == f"error: {packed}: File too large: nothing half-written is left: free some space"
    assert names(tmp_path / "packed", "*") == []
    (split,) = find_splits(tmp_path / "data", "val")
    pack_split(split, packed, PatchForm(64, "exact"), "folder", "human", 1).verify()


def test_an_array_that_the_disk_has_no_room_for_is_an_error(tmp_path):
    """numpy's `save` loses the last bytes in silence."""
    code = (
        "import sys, numpy; from pathlib import Path; from lpips_repro.datasets.packed import write_array\n"
        "try: write_array(Path(sys.argv[1]), numpy.zeros(40, 'f4'))\n"
        "except OSError as error: sys.exit(error.strerror)\n"
    )
    assert run_on_full_disk(200, "-c", code, str(tmp_path / "judge.npy")) == "File too large"


@pytest.mark.parametrize(
    "array", [np.arange(5, dtype=np.float32), np.zeros((0, 4), np.uint8), np.arange(24).reshape(2, 3, 4)[:, 1]]
)
def test_an_array_is_written_as_numpy_does(tmp_path, array):
    write_array(tmp_path / "array.npy", array)
    np.save(tmp_path / "expected.npy", array)
    assert (tmp_path / "array.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()
