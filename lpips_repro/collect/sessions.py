"""Workers and their sessions: joining, consent, which items a session gets, and what becomes of one that is left."""

from typing import Any

import numpy as np
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session as Transaction

from lpips_repro.collect.models import ACTIVE, DROPPED, ITEM, Item, Judgment, Lease, Session, Study, Trial, Worker
from lpips_repro.collect.protocol import plan
from lpips_repro.collect.refusal import Refusal
from lpips_repro.collect.study import OpenStudy


def join(study: OpenStudy, key: str) -> int:
    """The worker of a hashed identifier, who is new or known; returns the id."""
    with study.store.write() as transaction:
        lock_study(transaction, study)  # or two requests of a new worker could make two
        worker = transaction.scalar(select(Worker).where(Worker.study_id == study.id, Worker.key == key))
        if worker is None:
            worker = Worker(study_id=study.id, key=key, joined_at=study.clock())
            transaction.add(worker)
            transaction.flush()
        return worker.id


def consent(study: OpenStudy, worker_id: int) -> None:
    """The worker agrees to take part; the first time is kept."""
    with study.store.write() as transaction:
        worker = worker_of(transaction, study, worker_id, lock=True)
        worker.consented_at = worker.consented_at or study.clock()


def worker_of(transaction: Transaction, study: OpenStudy, worker_id: int, lock: bool = False) -> Worker:
    """The worker of an id; Refusal (401) if the study has none of it."""
    query = select(Worker).where(Worker.id == worker_id, Worker.study_id == study.id)
    worker = transaction.scalar(query.with_for_update() if lock else query)
    if worker is None:
        raise Refusal(401, "This link is not of this study.")
    return worker


def latest(transaction: Transaction, worker_id: int, kind: str) -> Session | None:
    """The latest session of a worker."""
    query = select(Session).where(Session.worker_id == worker_id, Session.kind == kind)
    return transaction.scalar(query.order_by(Session.id.desc()).limit(1))


def begin(study: OpenStudy, worker_id: int, kind: str, frame_ms: float | None) -> int | None:
    """Begin a session, or return the one that the worker has begun; None if no item is left for the worker.

    Raises:
        Refusal: without consent (403), or if the worker may not have another session (409).
    """
    drop_expired(study)
    with study.store.write() as transaction:
        worker = worker_of(transaction, study, worker_id, lock=True)
        if worker.consented_at is None:
            raise Refusal(403, "Consent comes first.")
        known = latest(transaction, worker_id, kind)
        if known and known.state == ACTIVE:
            return known.id
        if not may_begin(study, worker, known):
            raise Refusal(409, "There is no further session for you. Thank you.")
        items = _free_items(transaction, study, worker_id, kind)
        return _make(transaction, study, worker_id, kind, items, frame_ms) if items else None


def may_begin(study: OpenStudy, worker: Worker, known: Session | None) -> bool:
    """Whether a worker whose latest session is this one, which has ended, may begin another one."""
    only_one = study.cfg.completion is not None and known is not None and known.state != DROPPED
    return not worker.excluded and not only_one


def _free_items(transaction: Transaction, study: OpenStudy, worker_id: int, kind: str) -> list[int]:
    """Items that lack judgments and that the worker has not had; they are taken, and locked for others."""
    most = study.cfg.jnd_items if kind == "jnd" else study.cfg.twoafc_items
    had = select(Judgment.item_id).where(Judgment.worker_id == worker_id)
    query = (
        select(Item.id)
        .where(Item.study_id == study.id, Item.kind == kind, Item.taken < Item.target, Item.id.not_in(had))
        .order_by(func.random())
        .limit(most)
        .with_for_update(skip_locked=True, key_share=True)
    )
    items = list(transaction.scalars(query))
    transaction.execute(update(Item).where(Item.id.in_(items)).values(taken=Item.taken + 1))
    return items


def _make(
    transaction: Transaction, study: OpenStudy, worker_id: int, kind: str, items: list[int], frame_ms: float | None
) -> int:
    trials = plan(kind, items, np.random.default_rng())
    now = study.clock()
    session = Session(worker_id=worker_id, kind=kind, total=len(trials), frame_ms=frame_ms, created_at=now)
    session.expires_at = now + 60 * study.cfg.lease_minutes
    transaction.add(session)
    transaction.flush()
    ids = {"session_id": session.id}
    rows = [
        {**ids, "number": number, "role": role, "shown": shown, "source_id": source, "swapped": swapped}
        for number, (role, shown, source, swapped) in enumerate(trials)
    ]
    transaction.execute(insert(Trial), rows)
    leases = [{**ids, "item_id": one["source_id"], "worker_id": worker_id} for one in rows if one["role"] == ITEM]
    transaction.execute(insert(Lease), leases)
    return session.id


def drop_expired(study: OpenStudy) -> int:
    """Take the items of sessions that were left back; returns how many sessions. Their answers are kept."""
    expired = (
        select(Session.id)
        .join(Worker)
        .where(Worker.study_id == study.id, Session.state == ACTIVE, Session.expires_at < study.clock())
    )
    with study.store.read() as transaction:  # mostly there is none, and no writer is to wait for that
        if transaction.scalar(expired.limit(1)) is None:
            return 0
    with study.store.write() as transaction:
        lock_study(transaction, study)
        sessions = list(transaction.scalars(expired.with_for_update(skip_locked=True, of=Session)))
        transaction.execute(update(Session).where(Session.id.in_(sessions)).values(state=DROPPED))
        for table in (Lease, Judgment):
            give_back(transaction, select(table.item_id).where(table.session_id.in_(sessions)))
        transaction.execute(delete(Lease).where(Lease.session_id.in_(sessions)))
    return len(sessions)


def give_back(transaction: Transaction, items: Any) -> None:
    """One judgment of each of these items, with repeats, counts no longer."""
    counts: dict[int, int] = {}
    for item in transaction.scalars(items):
        counts[item] = counts.get(item, 0) + 1
    for item, count in sorted(counts.items()):
        transaction.execute(update(Item).where(Item.id == item).values(taken=Item.taken - count))


def lock_study(transaction: Transaction, study: OpenStudy) -> None:
    """Until the end of the transaction no other one does this (PostgreSQL; in SQLite one writes at a time)."""
    transaction.execute(select(Study.id).where(Study.id == study.id).with_for_update(key_share=True))
