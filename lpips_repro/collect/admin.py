"""The admin page: a form for the token, then how the study goes, and every answer as CSV. It has no script."""

import csv
import hmac
import io
from collections.abc import Iterable, Iterator
from html import escape
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from lpips_repro.collect.progress import Row, judgments, of_kinds, of_sessions, of_splits, timing_within_a_frame
from lpips_repro.collect.refusal import Refusal
from lpips_repro.collect.replies import document
from lpips_repro.collect.study import OpenStudy

COOKIE = "admin"
CELLS = {None: "", True: "yes", False: "no"}


def routes(study: OpenStudy, token: str) -> APIRouter:
    """The routes of the admin page; all but the form need the token, as a cookie or `Authorization: Bearer`."""
    router = APIRouter(prefix="/admin", include_in_schema=False)

    secure = bool(study.cfg.address and study.cfg.address.startswith("https:"))

    def allowed(request: Request) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not _is_token(request.cookies.get(COOKIE) or bearer, token):
            raise Refusal(401, "The admin page needs its token.")

    @router.get("")
    def page(request: Request) -> HTMLResponse:
        if not _is_token(request.cookies.get(COOKIE, ""), token):
            return HTMLResponse(document("Admin", FORM, "admin"), 401 if COOKIE in request.cookies else 200)
        return HTMLResponse(document(f"{study.cfg.name}: {study.observers} observers", _body(study), "admin"))

    @router.post("")
    async def enter(request: Request) -> Response:
        given = parse_qs((await request.body()).decode(errors="replace")).get("token", [""])[0]
        if not _is_token(given, token):
            return HTMLResponse(document("Admin", f"<p>This is not the token.</p>{FORM}", "admin"), 401)
        reply = RedirectResponse("/admin", 303)
        reply.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure, path="/admin")
        return reply

    @router.get("/progress.json")
    def progress(_: Annotated[None, Depends(allowed)]) -> dict:
        exact, pairs = timing_within_a_frame(study)
        timing = {"pairs": pairs, "within_a_frame": exact}
        sessions = of_sessions(study)
        return {"splits": of_splits(study), "kinds": of_kinds(sessions), "sessions": sessions, "timing": timing}

    @router.get("/answers.csv")
    def answers(_: Annotated[None, Depends(allowed)]) -> StreamingResponse:
        headers = {"Content-Disposition": 'attachment; filename="answers.csv"'}
        return StreamingResponse(_lines(judgments(study)), media_type="text/csv", headers=headers)

    return router


FORM = (
    '<form method="post" action="/admin"><label>Token <input type="password" name="token" autocomplete="off"></label>'
    "<button>Enter</button></form>"
)
LINKS = (
    '<p><a href="/admin/answers.csv">All answers (CSV)</a> <a href="/admin/progress.json">These figures (JSON)</a></p>'
)


def _is_token(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _body(study: OpenStudy) -> str:
    sessions = of_sessions(study)
    exact, pairs = timing_within_a_frame(study)
    timing = f"<p>Pairs timed to one frame of the screen: {exact} of {pairs}.</p>" if pairs else ""
    tables = {"Splits": of_splits(study), "Questions": of_kinds(sessions), "Sessions": sessions}
    return "".join(f"<h2>{title}</h2>{_table(rows)}" for title, rows in tables.items()) + timing + LINKS


def _table(rows: list[Row]) -> str:
    if not rows:
        return "<p>None yet.</p>"
    head = "".join(f"<th>{escape(key)}</th>" for key in rows[0])
    lines = ("".join(f"<td>{_cell(value)}</td>" for value in row.values()) for row in rows)
    return f"<div class=wide><table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table></div>"


def _cell(value: object) -> str:
    if value is None or isinstance(value, bool):
        return CELLS[value]
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))


def _lines(rows: Iterable[Row]) -> Iterator[str]:
    """A CSV file, in pieces."""
    text = io.StringIO()
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, row)
            writer.writeheader()
        writer.writerow(row)
        yield text.getvalue()
        text.seek(0)
        text.truncate()
