"""Answers: stored once, in the order of the trials; at the end of a session the worker is judged by the sentinels."""

from concurrent.futures import Future
from typing import NamedTuple

from sqlalchemy import Integer, bindparam, cast, delete, func, select
from sqlalchemy.orm import Session as Transaction
from sqlalchemy.orm import aliased

from lpips_repro.collect.models import (
    ACTIVE,
    FINISHED,
    ITEM,
    SENTINEL,
    TRAINING,
    Judgment,
    Lease,
    Session,
    Trial,
    Worker,
)
from lpips_repro.collect.protocol import CHOICES, RIGHT, is_excluded, stored_answer
from lpips_repro.collect.refusal import Refusal
from lpips_repro.collect.sessions import give_back, lock_study
from lpips_repro.collect.study import OpenStudy

# A trial, and whether the one before it has an answer. Made once: this takes longer than to run it.
BEFORE = aliased(Trial)
IN_TURN = (
    select(Trial, (Trial.number == 0) | BEFORE.answer.is_not(None))
    .outerjoin(BEFORE, (BEFORE.session_id == Trial.session_id) & (BEFORE.number == Trial.number - 1))
    .where(Trial.session_id == bindparam("session"), Trial.number == bindparam("number"))
)


class Answer(NamedTuple):
    """What the page sends.

    Attributes:
        session, number: the trial; choice: of those of its kind; response_ms: see `Trial`.
        timing: onsets and offsets of both images of a pair, in ms; None for a triplet.
    """

    session: int
    number: int
    choice: str
    response_ms: float
    timing: list[float] | None


class Stored(NamedTuple):
    """What the page is told: the number of the next trial, and in training whether the answer was right."""

    next: int
    correct: bool | None


def store(study: OpenStudy, worker_id: int, answer: Answer) -> Stored:
    """Store an answer. The same one again changes nothing and gets the same reply.

    Raises:
        Refusal: for another worker's session (404), a choice or timing that the kind has not, or times that go back
            (422), another answer than the stored one or one out of order (409), or a session that is over (410).
    """
    return store_soon(study, worker_id, answer).result()


def store_soon(study: OpenStudy, worker_id: int, answer: Answer) -> Future[Stored]:
    """As `store`, without waiting for the disk."""

    def work(transaction: Transaction) -> Stored:
        session = _locked_session(transaction, study, worker_id, answer.session)
        if answer.choice not in CHOICES[session.kind] or (answer.timing is None) == (session.kind == "jnd"):
            raise Refusal(422, f"No answer to a question of kind {session.kind}.")
        if answer.timing is not None and sorted(answer.timing) != answer.timing:
            raise Refusal(422, "The times of the images go back.")
        trial, is_next = _trial_of(transaction, session, answer.number)
        value = stored_answer(session.kind, answer.choice, trial.swapped)
        if trial.answer is None:
            if session.state != ACTIVE:
                raise Refusal(410, "This session is over: it was left for too long.")
            if not is_next:
                raise Refusal(409, "Another trial comes first.")
            _write(transaction, study, session, trial, value, answer)
        elif trial.answer != value:
            raise Refusal(409, "This trial has another answer already.")
        return Stored(trial.number + 1, trial.correct if trial.role == TRAINING else None)

    return study.store.write_soon(work)


def _locked_session(transaction: Transaction, study: OpenStudy, worker_id: int, session_id: int) -> Session:
    """A session of the worker; Refusal (404) if it is another one's."""
    query = select(Session).join(Worker).where(Session.id == session_id, Worker.id == worker_id)
    session = transaction.scalar(query.where(Worker.study_id == study.id).with_for_update(of=Session))
    if session is None:
        raise Refusal(404, "No such session.")
    return session


def _trial_of(transaction: Transaction, session: Session, number: int) -> tuple[Trial, bool]:
    """A trial of a session, and whether the one before it has an answer: answers are given in order.

    The session is locked before, or PostgreSQL would show the trial as it was before another answer.
    """
    found = transaction.execute(IN_TURN, {"session": session.id, "number": number}).one_or_none()
    if found is None:
        raise Refusal(404, "The session has no such trial.")
    return found[0], bool(found[1])


def _write(
    transaction: Transaction, study: OpenStudy, session: Session, trial: Trial, value: int, answer: Answer
) -> None:
    now = study.clock()
    trial.answer, trial.response_ms, trial.timing, trial.answered_at = value, answer.response_ms, answer.timing, now
    if trial.role == ITEM:
        ids = {"item_id": trial.source_id, "worker_id": session.worker_id, "session_id": session.id}
        transaction.execute(delete(Lease).where(*(getattr(Lease, name) == found for name, found in ids.items())))
        transaction.add(Judgment(**ids, trial_id=trial.id, value=value, judged_at=now))
    else:
        trial.correct = value == RIGHT[session.kind, trial.shown]
    session.expires_at = now + 60 * study.cfg.lease_minutes
    if trial.number == session.total - 1:
        session.state, session.finished_at = FINISHED, now
        transaction.flush()
        _exclude_if_inattentive(transaction, study, session)


def _exclude_if_inattentive(transaction: Transaction, study: OpenStudy, session: Session) -> None:
    """By the sentinels of all sessions that the worker has finished. The judgments are kept, but do not count."""
    worker = transaction.get_one(Worker, session.worker_id)
    finished = select(Session.id).where(Session.worker_id == worker.id, Session.state == FINISHED)
    sentinels = select(func.sum(cast(Trial.correct, Integer)), func.count()).where(
        Trial.session_id.in_(finished), Trial.role == SENTINEL
    )
    was_excluded = worker.excluded
    worker.excluded = was_excluded or is_excluded(*transaction.execute(sentinels).one())
    if worker.excluded:
        lock_study(transaction, study)
        over = Judgment.session_id == session.id if was_excluded else Judgment.session_id.in_(finished)
        give_back(transaction, select(Judgment.item_id).where(over))
