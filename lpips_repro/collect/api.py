"""What the page asks the server: joining, consent, trials, images, answers."""

import asyncio
import functools
import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from lpips_repro.collect import answers, sessions
from lpips_repro.collect.models import ACTIVE, FINISHED, TRAINING, Item, Session, Trial
from lpips_repro.collect.protocol import GAP_MS, ON_MS, PLACES
from lpips_repro.collect.refusal import Refusal
from lpips_repro.collect.signing import Seat, Signer
from lpips_repro.collect.stimuli import Shown, pictures, shown_by
from lpips_repro.collect.study import OpenStudy

COOKIE, CSRF = "seat", "X-CSRF-Token"
# Where platforms put the identifier of a worker: Prolific, Mechanical Turk, and others.
IDENTIFIERS = ("PROLIFIC_PID", "workerId", "participant")
LONGEST_IDENTIFIER = 200
MOST_MS = 24 * 3600 * 1000.0
KEPT = 4096  # trials of which the server remembers what they show
LARGEST_ID = 2**31 - 1  # of PostgreSQL's integers
CONSENT = (
    "You will compare small pictures. Your answers and the time they take are stored; your name, your address and your"
    " device are not. You can stop at any time by closing the page; what you answered in a session that you do not"
    " finish is not used. The answers may be published."
)

Number = Annotated[int, Field(ge=0, le=LARGEST_ID)]
Milliseconds = Annotated[float, Field(ge=0, le=MOST_MS, allow_inf_nan=False)]


class SessionRequest(BaseModel):
    """A session is to begin; `frame_ms` is the interval of the screen's frames, as the page measured it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    frame_ms: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] | None = None


class AnswerRequest(BaseModel):
    """An answer: see `answers.Answer`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    session: Number
    number: Number
    choice: Literal["left", "right", "same", "different"]
    response_ms: Milliseconds
    timing: Annotated[list[Milliseconds], Field(min_length=4, max_length=4)] | None = None


class TrialReply(BaseModel):
    """A trial to come: its number, and whether it is for training."""

    number: int
    training: bool


class StateReply(BaseModel):
    """Where a worker stands: consent comes first, ready to begin, active, done, or closed: no further session."""

    state: Literal["consent", "ready", "active", "done", "closed"]
    kind: str
    csrf: str
    consent: str
    session: int | None = None
    total: int = 0
    frame_ms: float | None = None
    trials: list[TrialReply] = []
    places: list[str] = []
    on_ms: int = ON_MS
    gap_ms: int = GAP_MS
    completion: str | None = None
    more: bool = False


class AnswerReply(BaseModel):
    """The number of the next trial, and in training whether the answer was right."""

    next: int
    correct: bool | None


class Problem(BaseModel):
    """Why a request was refused."""

    detail: Any


def routes(study: OpenStudy, signer: Signer, consent: str | None = None) -> APIRouter:
    """The routes of a study."""
    problems: dict[int | str, dict[str, Any]] = {
        code: {"model": Problem} for code in (400, 401, 403, 404, 408, 409, 410, 413, 422, 503)
    }
    router = APIRouter(responses=problems)
    seat_of = _seat_of(signer)
    writer_of = _writer_of(signer)
    shown_in = functools.lru_cache(KEPT)(functools.partial(_shown, study))  # a trial is never shown otherwise

    @router.get("/join/{token}", status_code=303, response_class=RedirectResponse)
    def join(token: str, request: Request) -> Response:
        """From a link to the page."""
        kind, label = signer.read_link(token)
        identifier = f"link {label}" if label else _identifier(request)
        worker = sessions.join(study, signer.worker_key(identifier))
        reply = RedirectResponse("/", 303)
        secure = bool(study.cfg.address and study.cfg.address.startswith("https:"))
        options: Any = {"httponly": True, "samesite": "lax", "secure": secure, "max_age": signer.seat_seconds}
        reply.set_cookie(COOKIE, signer.seat(Seat(worker, kind)), **options)
        return reply

    @router.get("/api/state")
    def state(request: Request, seat: Annotated[Seat, Depends(seat_of)]) -> StateReply:
        """Where the worker stands."""
        common = {"kind": seat.kind, "csrf": signer.csrf(request.cookies[COOKIE]), "consent": consent or CONSENT}
        return _state(study, seat, common)

    @router.post("/api/consent", status_code=204)
    def agree(seat: Annotated[Seat, Depends(writer_of)]) -> None:
        """The worker agrees to take part."""
        sessions.consent(study, seat.worker)

    @router.post("/api/session")
    def session(seat: Annotated[Seat, Depends(writer_of)], asked: SessionRequest) -> dict[str, int | None]:
        """Begin a session, or go on with the one that was begun; null if nothing is left to judge."""
        return {"session": sessions.begin(study, seat.worker, seat.kind, asked.frame_ms)}

    @router.post("/api/answer")
    async def answer(seat: Annotated[Seat, Depends(writer_of)], given: Annotated[AnswerRequest, Body()]) -> AnswerReply:
        """Store an answer, once."""
        stored = await asyncio.wrap_future(answers.store_soon(study, seat.worker, answers.Answer(**given.model_dump())))
        return AnswerReply(**stored._asdict())

    @router.get("/images/{session}/{number}/{place}.png", response_class=Response)
    def image(
        seat: Annotated[Seat, Depends(seat_of)],
        session: Annotated[int, Path(ge=0, le=LARGEST_ID)],
        number: Annotated[int, Path(ge=0, le=LARGEST_ID)],
        place: Literal["ref", "left", "right", "first", "second"],
    ) -> Response:
        """An image of a trial, pixel by pixel."""
        shown = shown_in(seat.worker, session, number)
        if place not in PLACES[shown.kind]:
            raise Refusal(404, "No such image.")
        content = pictures(study.examples, shown)[place]
        return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"})

    return router


def _identifier(request: Request) -> str:
    """What a platform calls the worker."""
    found = [request.query_params[name] for name in IDENTIFIERS if request.query_params.get(name)]
    if len(found) != 1 or len(found[0]) > LONGEST_IDENTIFIER:
        raise Refusal(400, f"The link lacks your identifier: one of {', '.join(IDENTIFIERS)}.")
    return f"platform {found[0]}"


def _seat_of(signer: Signer) -> Callable[[Request], Awaitable[Seat]]:
    async def seat_of(request: Request) -> Seat:  # async: no thread is needed for it
        return signer.read_seat(request.cookies.get(COOKIE))

    return seat_of


def _writer_of(signer: Signer) -> Callable[[Request], Awaitable[Seat]]:
    async def writer_of(request: Request) -> Seat:
        seat = signer.read_seat(request.cookies.get(COOKIE))
        expected = signer.csrf(request.cookies[COOKIE])
        if not hmac.compare_digest(request.headers.get(CSRF, "").encode(), expected.encode()):
            raise Refusal(403, "This request does not come from the study's page.")
        return seat

    return writer_of


def _state(study: OpenStudy, seat: Seat, common: dict[str, Any]) -> StateReply:
    with study.store.read() as transaction:
        worker = sessions.worker_of(transaction, study, seat.worker)
        session = sessions.latest(transaction, seat.worker, seat.kind)
        if worker.consented_at is None:
            return StateReply(state="consent", **common)
        if session is None or session.state != ACTIVE:
            is_done = session is not None and session.state == FINISHED
            may = sessions.may_begin(study, worker, session)
            over: Any = "done" if is_done else "ready" if may else "closed"
            return StateReply(state=over, completion=study.cfg.completion, more=is_done and may, **common)
        query = select(Trial.number, Trial.role).where(Trial.session_id == session.id, Trial.answer.is_(None))
        rows = transaction.execute(query.order_by(Trial.number))
        trials = [TrialReply(number=number, training=role == TRAINING) for number, role in rows]
        own: dict[str, Any] = {
            "session": session.id,
            "total": session.total,
            "frame_ms": session.frame_ms,
            "trials": trials,
            "places": [*PLACES[seat.kind]],
        }
        return StateReply(state="active", **common, **own)


def _shown(study: OpenStudy, worker: int, session: int, number: int) -> Shown:
    """What a trial of a worker shows; Refusal (404) if the worker has none of these numbers."""
    query = (
        select(Trial, Item)
        .join(Item, Item.id == Trial.source_id)
        .join(Session, Session.id == Trial.session_id)
        .where(Session.id == session, Session.worker_id == worker, Trial.number == number)
        .where(Item.study_id == study.id)
    )
    with study.store.read() as transaction:
        found = transaction.execute(query).one_or_none()
        if found is None:
            raise Refusal(404, "No such image.")
        return shown_by(*found)
