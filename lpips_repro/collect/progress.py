"""How a study goes: what is judged, how far workers agree, what sentinels say, times, and who dropped out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Integer, Select, case, cast, func, select

from lpips_repro.collect.agreement import alpha, unbiased_human_twoafc
from lpips_repro.collect.models import ACTIVE, DROPPED, FINISHED, SENTINEL, Item, Judgment, Session, Trial, Worker
from lpips_repro.collect.protocol import GAP_MS, ON_MS
from lpips_repro.collect.study import OpenStudy
from lpips_repro.evaluation import human_twoafc

Row = dict[str, Any]
RESOLUTION_MS = 0.2  # of a difference of two times of a page: browsers round each to 0.1 ms


def counted(study: OpenStudy) -> Select:
    """Items with their number of judgments that count, and how many of these are 1, in the dataset's order."""
    counts = (Session.state == FINISHED) & Worker.excluded.is_(False)
    judged = func.coalesce(func.sum(case((counts, 1), else_=0)), 0)
    yes = func.coalesce(func.sum(case((counts, Judgment.value), else_=0)), 0)
    return (
        select(Item, judged, yes)
        .outerjoin(Judgment, Judgment.item_id == Item.id)
        .outerjoin(Session, Session.id == Judgment.session_id)
        .outerjoin(Worker, Worker.id == Judgment.worker_id)
        .where(Item.study_id == study.id)
        .group_by(Item.id)
        .order_by(Item.id)
    )


def of_splits(study: OpenStudy) -> list[Row]:
    """A row per split: items, judgments that count and that are wanted, and agreement."""
    found: dict[tuple[str, str, str], list[tuple[int, int, int]]] = {}
    with study.store.read() as transaction:
        for item, judged, yes in transaction.execute(counted(study)):
            found.setdefault((item.kind, item.phase, item.split), []).append((item.target, judged, yes))
    return [{"split": "/".join(place), **_agreement(place[0], np.array(rows))} for place, rows in found.items()]


def _agreement(kind: str, rows: np.ndarray) -> Row:
    target, judged, yes = rows.T
    with_votes = judged > 0
    shares = yes[with_votes] / judged[with_votes]
    of_triplets = kind == "2afc" and with_votes.any()
    return {
        "items": len(rows),
        "complete": int((judged == target).sum()),
        "judgments": int(judged.sum()),
        "wanted": int(target.sum()),
        "alpha": alpha(judged, yes),
        "human 2AFC": human_twoafc(shares) if of_triplets else None,
        "human 2AFC, unbiased": unbiased_human_twoafc(judged, yes) if of_triplets else None,
    }


def of_sessions(study: OpenStudy) -> list[Row]:
    """A row per session: its worker's number, sentinels, times, and whether the worker is excluded."""
    is_sentinel = Trial.role == SENTINEL
    query = (
        select(
            Session,
            Worker.excluded,
            func.count(Trial.answer),
            func.sum(case((is_sentinel & Trial.answer.is_not(None), 1), else_=0)),
            func.sum(case((is_sentinel, func.coalesce(cast(Trial.correct, Integer), 0)), else_=0)),
        )
        .join(Worker, Worker.id == Session.worker_id)
        .join(Trial, Trial.session_id == Session.id)
        .where(Worker.study_id == study.id)
        .group_by(Session.id, Worker.excluded)
        .order_by(Session.id)
    )
    with study.store.read() as transaction:
        times = _times(study, transaction)
        return [
            {
                **{"session": one.id, "worker": one.worker_id, "kind": one.kind, "state": one.state},
                **{"answered": answered, "trials": one.total, "sentinels": sentinels, "right": right},
                **{"excluded": excluded, "median response (s)": times.get(one.id)},
                "minutes": (one.finished_at - one.created_at) / 60 if one.finished_at else None,
            }
            for one, excluded, answered, sentinels, right in transaction.execute(query)
        ]


def of_kinds(sessions: Sequence[Row]) -> list[Row]:
    """A row per kind of question, from those of its sessions: who came and stayed, sentinels, and times."""
    return [
        _of_kind(kind, [row for row in sessions if row["kind"] == kind])
        for kind in dict.fromkeys(row["kind"] for row in sessions)
    ]


def _of_kind(kind: str, rows: Sequence[Row]) -> Row:
    def median(key: str) -> float | None:
        values = [row[key] for row in rows if row[key] is not None]
        return float(np.median(values)) if values else None

    sentinels = sum(row["sentinels"] for row in rows)
    return {
        "kind": kind,
        "workers": len({row["worker"] for row in rows}),
        "excluded": len({row["worker"] for row in rows if row["excluded"]}),
        **{state: sum(row["state"] == state for row in rows) for state in (FINISHED, ACTIVE, DROPPED)},
        "sentinels right": sum(row["right"] for row in rows) / sentinels if sentinels else None,
        "median response (s)": median("median response (s)"),
        "median minutes": median("minutes"),
    }


def _times(study: OpenStudy, transaction: Any) -> dict[int, float]:
    """The median response of each session, in seconds."""
    query = select(Trial.session_id, Trial.response_ms).join(Session, Session.id == Trial.session_id)
    query = query.join(Worker, Worker.id == Session.worker_id)
    found: dict[int, list[float]] = {}
    for session, response in transaction.execute(
        query.where(Worker.study_id == study.id, Trial.response_ms.is_not(None))
    ):
        found.setdefault(session, []).append(response)
    return {session: float(np.median(values)) / 1000 for session, values in found.items()}


def timing_within_a_frame(study: OpenStudy) -> tuple[int, int]:
    """Of how many pairs the page measured 1 s, 250 ms and 1 s to one frame of the screen, and of how many in all."""
    query = select(Session.frame_ms, Trial.timing).join(Session, Session.id == Trial.session_id)
    query = query.join(Worker, Worker.id == Session.worker_id)
    query = query.where(Worker.study_id == study.id, Session.kind == "jnd", Trial.answer.is_not(None))
    with study.store.read() as transaction:
        rows = [(frame or 0, np.diff(timing or [])) for frame, timing in transaction.execute(query)]
    exact = sum(bool((abs(shown - (ON_MS, GAP_MS, ON_MS)) <= frame + RESOLUTION_MS).all()) for frame, shown in rows)
    return exact, len(rows)


def judgments(study: OpenStudy) -> Iterator[Row]:
    """Every answer that was ever given, a row each; people are numbers."""
    query = (
        select(Trial, Session, Worker, Item)
        .join(Session, Session.id == Trial.session_id)
        .join(Worker, Worker.id == Session.worker_id)
        .join(Item, Item.id == Trial.source_id)
        .where(Worker.study_id == study.id, Trial.answer.is_not(None))
        .order_by(Trial.id)
    )
    with study.store.read() as transaction:
        for trial, session, worker, item in transaction.execute(query.execution_options(yield_per=1000)):
            onsets: Sequence[float | None] = trial.timing or [None] * 4
            yield {
                **{"kind": item.kind, "phase": item.phase, "split": item.split, "name": item.name},
                **{"role": trial.role, "shown": trial.shown, "swapped": int(trial.swapped), "answer": trial.answer},
                "correct": None if trial.correct is None else int(trial.correct),
                **{
                    "worker": worker.id,
                    "excluded": int(worker.excluded),
                    "session": session.id,
                    "state": session.state,
                },
                **{"number": trial.number, "response_ms": trial.response_ms, "frame_ms": session.frame_ms},
                **dict(zip(("onset0_ms", "offset0_ms", "onset1_ms", "offset1_ms"), onsets, strict=True)),
            }
