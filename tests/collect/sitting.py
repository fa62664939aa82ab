"""Workers who judge in this process, without a server."""

from sqlalchemy import func, select

from lpips_repro.collect.answers import Answer, store
from lpips_repro.collect.models import Item, Judgment, Session, Trial, Worker
from lpips_repro.collect.protocol import CHOICES, RIGHT, stored_answer
from lpips_repro.collect.sessions import begin, consent, join
from lpips_repro.collect.study import OpenStudy

TIMING = [0.0, 1000.0, 1250.0, 2250.0]


def joined(study: OpenStudy, key: str) -> int:
    worker = join(study, key)
    consent(study, worker)
    return worker


def trials_of(study: OpenStudy, session: int) -> list[Trial]:
    with study.store.read() as transaction:
        transaction.expire_on_commit = False
        return list(transaction.scalars(select(Trial).where(Trial.session_id == session).order_by(Trial.number)))


def choice_of(kind: str, trial: Trial, attentive: bool = True) -> str:
    """The right choice, or the other one; of items p1 or "same"."""
    right = RIGHT.get((kind, trial.shown), 1)
    wanted = right if attentive else 1 - right
    return next(choice for choice in CHOICES[kind] if stored_answer(kind, choice, trial.swapped) == wanted)


def answer_of(kind: str, trial: Trial, attentive: bool = True) -> Answer:
    timing = TIMING if kind == "jnd" else None
    return Answer(trial.session_id, trial.number, choice_of(kind, trial, attentive), 500.0, timing)


def sit(study: OpenStudy, worker: int, kind: str, attentive: bool = True, most: int | None = None) -> int | None:
    """A session of a worker, up to so many answers; returns its id, or None if no item is left."""
    session = begin(study, worker, kind, None)
    for trial in trials_of(study, session)[:most] if session else ():
        store(study, worker, answer_of(kind, trial, attentive))
    return session


def counted(study: OpenStudy) -> dict[int, int]:
    """The judgments of each item that count, from the judgments themselves."""
    counts = select(Judgment.item_id, func.count()).join(Session, Session.id == Judgment.session_id)
    counts = counts.join(Worker, Worker.id == Judgment.worker_id)
    counts = counts.where(Session.state == "finished", Worker.excluded.is_(False)).group_by(Judgment.item_id)
    with study.store.read() as transaction:
        return dict(transaction.execute(counts).all())


def targets(study: OpenStudy, kind: str | None = None) -> dict[int, int]:
    query = select(Item.id, Item.target).where(Item.kind == kind) if kind else select(Item.id, Item.target)
    with study.store.read() as transaction:
        return dict(transaction.execute(query).all())
