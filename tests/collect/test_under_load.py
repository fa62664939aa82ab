"""Many workers at the same time, and a server that is killed: nothing is lost and nothing is stored twice."""

import asyncio
import contextlib

import httpx2
import pytest
from sqlalchemy import select

from lpips_repro.collect.models import Judgment, Lease, Session, Trial
from lpips_repro.collect.protocol import stored_answer
from lpips_repro.collect.study import open_study
from tests.collect.conftest import config, write_dataset
from tests.collect.http_workers import HttpWorker, fsync_ms, serving, words_of
from tests.collect.sitting import counted, targets

pytestmark = pytest.mark.slow
WORKERS, KILLS = 50, 10


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("load") / "dataset", val=40, train=20, jnd=20, side=64)


def check_nothing_lost_or_doubled(study, workers) -> None:
    acknowledged = {place: choice for worker in workers for place, choice in worker.acknowledged.items()}
    with study.store.read() as transaction:
        query = select(Trial, Session.kind).join(Session, Session.id == Trial.session_id)
        answered = {}
        for trial, kind in transaction.execute(query.where(Trial.answer.is_not(None))):
            answered[trial.session_id, trial.number] = (trial.answer, kind, trial.swapped)
        items = select(Trial.id).where(Trial.role == "item", Trial.answer.is_not(None))
        trials = set(transaction.scalars(items))
        judgments = transaction.execute(select(Judgment.trial_id, Judgment.item_id, Judgment.worker_id)).all()
    assert acknowledged.keys() <= answered.keys()
    for place, choice in acknowledged.items():
        value, kind, swapped = answered[place]
        assert value == stored_answer(kind, choice, swapped)
    assert sorted(trial for trial, *_ in judgments) == sorted(trials)
    assert len({(item, worker) for _, item, worker in judgments}) == len(judgments)


@contextlib.contextmanager
def opened(larger, tmp_path, *words):
    study = open_study(config(larger, tmp_path / "store", "size=64", *words))
    yield study
    study.store.close()


def fifty(study, address):
    return [HttpWorker(address, study, "2afc" if i % 2 else "jnd", f"w{i}") for i in range(WORKERS)]


def test_fifty_workers_in_a_closed_loop_meet_the_targets_exactly(larger, tmp_path):
    words = words_of(larger, tmp_path / "store", "size=64")
    with opened(larger, tmp_path) as study:
        with serving(words, tmp_path / "log") as address:
            workers = fifty(study, address)

            async def all_sit():
                await asyncio.wait_for(asyncio.gather(*(worker.sit() for worker in workers)), 300)

            asyncio.run(all_sit())
        check_nothing_lost_or_doubled(study, workers)
        assert counted(study) == targets(study)
        with study.store.read() as transaction:
            assert transaction.scalar(select(Lease.id)) is None


def test_all_answers_of_fifty_workers_who_think_are_stored(larger, tmp_path):
    # The times are only printed: on a busy machine they are not those of the server. See docs/results/collect.md.
    many = ("val_votes=50", "train_votes=50", "jnd_votes=50")
    words = words_of(larger, tmp_path / "store", "size=64", *many)
    with opened(larger, tmp_path, *many) as study, serving(words, tmp_path / "log") as address:
        workers = fifty(study, address)

        async def all_answer():
            for worker in workers:
                await worker.begin()
            await asyncio.gather(*(worker.think_and_answer(20) for worker in workers))

        asyncio.run(all_answer())
        check_nothing_lost_or_doubled(study, workers)
    print(f"answers: {percentiles(worker.latencies for worker in workers)}")
    print(f"images: {percentiles(worker.image_latencies for worker in workers)}")
    print(f"fsync: {fsync_ms(tmp_path):.1f} ms (median)")
    assert sum(len(worker.acknowledged) for worker in workers) > 10 * WORKERS


def percentiles(latencies) -> str:
    """Of lists of seconds."""
    ordered = sorted(1000 * one for some in latencies for one in some)
    p50, p99 = (ordered[int(share * len(ordered))] for share in (0.5, 0.99))
    return f"{len(ordered)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {ordered[-1]:.1f} ms"


def test_every_acknowledged_judgment_outlives_kills_of_the_server(larger, tmp_path):
    many = ("val_votes=50", "train_votes=50")
    words, workers = words_of(larger, tmp_path / "store", "size=64", *many), []
    with opened(larger, tmp_path, *many) as study:
        for kill in range(KILLS):
            loop = asyncio.new_event_loop()
            with serving(words, tmp_path / f"log{kill}") as address:
                sitting = [HttpWorker(address, study, "2afc", f"w{i}") for i in range(8)]
                workers += sitting
                tasks = [loop.create_task(one.sit()) for one in sitting]
                loop.run_until_complete(asyncio.wait(tasks, timeout=0.3 + 0.1 * kill))
            # The workers meet a server that is gone, unless they had finished.
            loop.run_until_complete(asyncio.wait(tasks))
            assert all(isinstance(task.exception(), httpx2.TransportError | None) for task in tasks)
            loop.close()
        assert sum(len(worker.acknowledged) for worker in workers) > 10 * KILLS
        check_nothing_lost_or_doubled(study, workers)
