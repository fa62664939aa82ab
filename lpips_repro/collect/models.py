"""The tables of a study's database.

A worker judges in sessions. A session has trials in a fixed order: training, sentinels and items, which are examples of
the dataset. An item of a session that is not judged yet is leased to its worker. `Item.taken` counts the leases of an
item and its judgments that count; it never exceeds `Item.target`.
"""

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, MetaData, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

ACTIVE, FINISHED, DROPPED = "active", "finished", "dropped"  # states of a session
TRAINING, SENTINEL, ITEM = "training", "sentinel", "item"  # roles of a trial


class Base(DeclarativeBase):
    """Of all tables."""

    metadata = MetaData(naming_convention=NAMES)


class Study(Base):
    """One dataset that is judged.

    Attributes:
        observers: "human" or "simulated"; digest: of the names and digests of all items; settings: of its protocol.
    """

    __tablename__ = "studies"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    observers: Mapped[str]
    digest: Mapped[str]
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[float]


class Item(Base):
    """An example of the dataset: its place there, the SHA-256 of its pixels, and how many judgments it is to have."""

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("study_id", "kind", "phase", "split", "name"),
        Index(None, "study_id", "kind", "taken"),
        CheckConstraint("taken >= 0 AND taken <= target", "taken"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    kind: Mapped[str]
    phase: Mapped[str]
    split: Mapped[str]
    name: Mapped[str]
    digest: Mapped[str]
    target: Mapped[int]
    taken: Mapped[int] = mapped_column(default=0)


class Worker(Base):
    """A person or a simulated one, of whom only the keyed hash of an identifier is kept."""

    __tablename__ = "workers"
    __table_args__ = (UniqueConstraint("study_id", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    key: Mapped[str]
    excluded: Mapped[bool] = mapped_column(default=False)
    joined_at: Mapped[float]
    consented_at: Mapped[float | None]


class Session(Base):
    """One sitting of a worker. Its leases hold until `expires_at`, which every answer moves.

    Attributes:
        total: number of its trials; frame_ms: mean interval of the screen's frames that the page measured.
    """

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "worker_id"), Index(None, "state", "expires_at"))
    id: Mapped[int] = mapped_column(primary_key=True)
    worker_id: Mapped[int] = mapped_column(ForeignKey("workers.id"))
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(default=ACTIVE)
    total: Mapped[int]
    frame_ms: Mapped[float | None]
    created_at: Mapped[float]
    expires_at: Mapped[float]
    finished_at: Mapped[float | None]


class Trial(Base):
    """What a session shows at its place `number`, and the answer.

    Attributes:
        role: training, sentinel or item; shown: what a pair or triplet that is no item shows, see `protocol`.
        swapped: whether p1 (2AFC) is shown on the left, or p1 (JND) first.
        source_id: the item whose images it is made of.
        answer: 1 for p1 (2AFC) or "same" (JND), else 0; None: not given yet.
        correct: whether the answer is right, if a right one is known.
        response_ms: from the moment when it could be given.
        timing: onsets and offsets of the images of a pair, in ms, as the page measured them.
    """

    __tablename__ = "trials"
    __table_args__ = (UniqueConstraint("session_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"))
    number: Mapped[int]
    role: Mapped[str]
    shown: Mapped[str]
    swapped: Mapped[bool]
    source_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    answer: Mapped[int | None]
    correct: Mapped[bool | None]
    response_ms: Mapped[float | None]
    timing: Mapped[list[float] | None] = mapped_column(JSON)
    answered_at: Mapped[float | None]


class Lease(Base):
    """An item that a worker is to judge in a session."""

    __tablename__ = "leases"
    __table_args__ = (UniqueConstraint("item_id", "worker_id"), Index(None, "session_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    worker_id: Mapped[int] = mapped_column(ForeignKey("workers.id"))
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"))


class Judgment(Base):
    """A worker's judgment of an item. It counts if its session is finished and its worker is not excluded."""

    __tablename__ = "judgments"
    __table_args__ = (UniqueConstraint("item_id", "worker_id"), UniqueConstraint("trial_id"), Index(None, "session_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    worker_id: Mapped[int] = mapped_column(ForeignKey("workers.id"))
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"))
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"))
    value: Mapped[int]
    judged_at: Mapped[float]
