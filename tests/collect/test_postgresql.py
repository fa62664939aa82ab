"""A study in a real PostgreSQL, which the test starts; Debian's package `postgresql` has it."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lpips_repro.collect.export import pack
from lpips_repro.collect.export import write_dataset as write_dataset_of
from lpips_repro.collect.page_files import install_libraries
from lpips_repro.collect.progress import of_splits, timing_within_a_frame
from lpips_repro.collect.server import signer_of
from lpips_repro.collect.sessions import drop_expired
from lpips_repro.collect.study import open_study
from tests.collect.browser_workers import CHROMIUM, fill, rounds
from tests.collect.conftest import config, write_dataset
from tests.collect.serving import served
from tests.collect.sitting import counted, joined, sit, targets, trials_of
from tests.collect.test_store import check_tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of a database in a server of its own."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    user = {"user": "postgres"} if os.geteuid() == 0 else {}  # it does not run as root
    home = Path(tempfile.mkdtemp(prefix="lpips-postgresql-"))
    if user:
        shutil.chown(home, user["user"])

    def run(program: str, *words: str) -> None:
        command = [folders[-1] / program, "-D", home / "data", *words]
        subprocess.run(command, check=True, cwd=home, stdout=subprocess.DEVNULL, **user)

    run("initdb", "-U", "study", "--auth=trust")
    run("pg_ctl", "-w", "-l", str(home / "log"), "-o", f"-k {home} -c listen_addresses=''", "start")
    try:
        yield f"postgresql://study@/postgres?host={home}"
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(home)


def test_targets_are_met_exactly_in_postgresql(dataset, tmp_path, postgresql):
    study = open_study(config(dataset, tmp_path / "store", f"database='{postgresql}'"))
    check_tables(study.store)
    sit(study, joined(study, "careless"), "2afc", attentive=False)

    def work(number):
        while sit(study, joined(study, f"w{number}"), "2afc" if number % 2 else "jnd"):
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    assert counted(study) == targets(study)
    assert drop_expired(study) == 0
    assert len(write_dataset_of(study, tmp_path / "out")) == 15
    study.store.close()


def test_sessions_that_were_left_are_taken_back_in_postgresql(dataset, tmp_path, postgresql):
    words = (f"database='{postgresql}'", "name=left")
    study = open_study(config(dataset, tmp_path / "store", *words))
    sit(study, joined(study, "gone"), "2afc", most=10)
    object.__setattr__(study, "clock", lambda: 1e12)
    assert drop_expired(study) == 1
    assert len(sit_items(study)) == 10
    study.store.close()


def sit_items(study) -> set[int]:
    """The items that a new worker gets."""
    session = sit(study, joined(study, "new"), "2afc")
    return {trial.source_id for trial in trials_of(study, session) if trial.role == "item"}


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no Chromium: apt-get install chromium")
def test_a_study_in_postgresql_is_judged_in_chromium_and_exported(tmp_path, postgresql):
    install_libraries()
    data = write_dataset(tmp_path / "set", val=6, train=6, jnd=30, side=64)
    words = (f"database='{postgresql}'", "name=browser", "size=64", "val_votes=3", "jnd_votes=2")
    study = open_study(config(data, tmp_path / "store", *words, f"packed={tmp_path}/packed"))
    with served(study) as address:
        for kind, coming in {"2afc": rounds("2afc", 4, 1), "jnd": rounds("jnd", 2, 0)}.items():
            link = f"{address}/join/{signer_of(study.cfg).link(kind, None)}?participant=NAME"
            asyncio.run(fill(study, link, kind, coming))
    assert [(row["complete"], row["judgments"]) for row in of_splits(study)] == [(6, 12), (6, 18), (30, 60)]
    print("pairs within one frame: {} of {}".format(*timing_within_a_frame(study)))
    assert len(write_dataset_of(study, tmp_path / "out")) == 42
    splits = pack(study.cfg, tmp_path / "out")
    assert [(split.name, len(split)) for split in splits] == [
        ("2afc/train/own", 6),
        ("2afc/val/own", 6),
        ("jnd/val/own", 30),
    ]
    study.store.close()
