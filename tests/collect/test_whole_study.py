"""From photographs to a table, with workers who judge in Chromium: every command as a user types it.

The workers do not think, and answer triplets as fast as the page takes it. Nothing else is faster than with people:
pairs are shown for 1 s, 250 ms and 1 s.
"""

import asyncio
import contextlib
import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from lpips_repro.collect.models import Worker
from lpips_repro.collect.progress import judgments, of_sessions, of_splits, timing_within_a_frame
from lpips_repro.collect.protocol import GAP_MS, ON_MS
from lpips_repro.collect.server import signer_of
from lpips_repro.collect.settings import CollectConfig
from lpips_repro.collect.simulated import Simulated
from lpips_repro.collect.study import OpenStudy, open_study
from lpips_repro.config import parse
from tests.building.conftest import write_photographs
from tests.collect.browser_workers import CHROMIUM, fill, rounds
from tests.collect.sitting import counted, targets
from tests.compose import settings
from tests.makefile import ROOT, environment
from tests.processes import started

pytestmark = pytest.mark.slow
TRAIN, VAL, JND = 300, 100, 200


def make(line: str, **more: str) -> str:
    """Run a command with this Python instead of that of .venv; what it prints."""
    done = subprocess.run(
        [*shlex.split(line), f"RUN={sys.executable}"], cwd=ROOT, env=environment(**more), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def collecting(line: str, log: Path) -> Iterator[dict[str, str]]:
    """The links of a server that `make collect` starts, for each kind of question."""
    with started([*shlex.split(line), f"RUN={sys.executable}"], log):
        end = time.monotonic() + 120
        while (
            not (links := dict(re.findall(r"(2afc|jnd): (http://\S+)", log.read_text())))
            or "admin" not in log.read_text()
        ):
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield links


def check_pairs_are_never_shorter(study: OpenStudy) -> None:
    """Whatever else the machine does: images stay for the time asked for, to half a frame, or longer."""
    for row in judgments(study):
        if row["kind"] == "jnd":
            times = np.array([row[f"{name}_ms"] for name in ("onset0", "offset0", "onset1", "offset1")])
            assert (np.diff(times) >= np.array([ON_MS, GAP_MS, ON_MS]) - row["frame_ms"]).all(), row


def excluded(study: OpenStudy, names: list[str]) -> int:
    """How many of the workers of these names are excluded."""
    keys = [signer_of(study.cfg).worker_key(f"platform {name}") for name in names]
    with study.store.read() as transaction:
        query = select(func.count()).where(Worker.key.in_(keys), Worker.excluded)
        return transaction.scalar(query)


def figures(study: OpenStudy, coming: dict[str, list[list[Simulated]]]) -> dict[str, Any]:
    """What docs/results/collect.md has."""
    rows = of_sessions(study)
    exact, pairs = timing_within_a_frame(study)
    inattentive = [one.name for rounds_ in coming.values() for round_ in rounds_ for one in round_ if not one.attentive]
    frames = {row["session"]: row["frame_ms"] for row in judgments(study) if row["kind"] == "jnd"}
    return {
        "sessions": len(rows),
        "answers": sum(row["answered"] for row in rows),
        "sentinels": sum(row["sentinels"] for row in rows),
        "sentinels right": sum(row["right"] for row in rows),
        "pairs within one frame": f"{exact} of {pairs} ({100 * exact / pairs:.2f} %)",
        "frame (ms)": [round(min(frames.values()), 2), round(max(frames.values()), 2)],
        "workers": len({row["worker"] for row in rows}),
        "excluded": len({row["worker"] for row in rows if row["excluded"]}),
        "inattentive, of whom excluded": [len(inattentive), excluded(study, inattentive)],
        "splits": of_splits(study),
    }


def study_of(data: Path, store: Path, *words: str) -> OpenStudy:
    return open_study(parse(settings("collect", f"dataset={data}", f"store={store}", *words), CollectConfig))


def judge_in_chromium(study: OpenStudy, links: dict[str, str], coming: dict[str, list[list[Simulated]]]) -> None:
    for kind, rounds_ in coming.items():
        begun = time.monotonic()
        asyncio.run(fill(study, links[kind], kind, rounds_))
        print(f"{kind}: {(time.monotonic() - begun) / 60:.1f} min")


def test_a_study_goes_from_photographs_to_tables(tmp_path, shared):
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium: apt-get install chromium")
    data, store, judged = (tmp_path / name for name in ("mine", "store", "judged"))
    photographs = write_photographs(tmp_path / "photographs")
    make(f'make build-dataset IMAGES={photographs} OUT={data} ARGS="train={TRAIN} val={VAL} jnd={JND}"')
    serve = f'make collect DATASET={data} ARGS="store={store} port=0"'
    coming = {"2afc": rounds("2afc", 8, 2), "jnd": rounds("jnd", 6, 1)}
    with collecting(serve, tmp_path / "log") as links:
        study = study_of(data, store)
        judge_in_chromium(study, links, coming)
    found = figures(study, coming)
    print(json.dumps(found, indent=2))
    assert counted(study) == targets(study)
    assert found["inattentive, of whom excluded"] == [3, 3]
    check_pairs_are_never_shorter(study)
    study.store.close()
    print(make(f'make collect DATASET={data} OUT={judged} ARGS="do=export store={store} packed={tmp_path}/packed"'))
    own = f"DATA=folder DATA_ROOT={judged}"
    places = f"data.packed={tmp_path}/packed experiments={tmp_path}/experiments features={tmp_path}/features"
    weights = {"LPIPS_REPRO_WEIGHTS": str(shared / "weights")}
    print(make(f'make train {own} ARGS="{places}"', **weights))
    print(make(f'make eval-tables {own} ARGS="{places} net=[alex]"', **weights))
    table = (tmp_path / "experiments/tables-folder/twoafc.csv").read_text()
    assert "folder-alex-lin" in table and "human" in table
