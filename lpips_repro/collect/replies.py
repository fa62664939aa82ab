"""What the server replies to requests that it refuses or that fail: JSON, or a page if a browser opens the address."""

import sys
from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from lpips_repro.collect.refusal import Refusal
from lpips_repro.errors import UserError

UNAVAILABLE = "The study has a problem: try again later, or tell those who sent you the link."


def document(title: str, body: str, kind: str) -> str:
    """An HTML page without a script; `kind` is a class of style.css, `body` is HTML."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/page/style.css"><main class="{kind}">'
        f"<h1>{escape(title)}</h1>{body}</main></html>"
    )


def add_replies(app: FastAPI) -> None:
    """Let an application reply so."""

    @app.exception_handler(Refusal)
    def refuse(request: Request, refusal: Refusal) -> Response:
        return _reply(request, refusal.status, refusal.message)

    @app.exception_handler(HTTPException)
    def explain_status(request: Request, error: HTTPException) -> Response:
        return _reply(request, error.status_code, error.detail, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def explain(_: Request, error: RequestValidationError) -> Response:
        # Without what was sent: not every number of it can be written as JSON.
        problems = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in error.errors()]
        return JSONResponse({"detail": problems}, 422)

    @app.exception_handler(UserError)
    @app.exception_handler(OperationalError)
    def report(request: Request, error: Exception) -> Response:
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
        return _reply(request, 503, UNAVAILABLE)


def _reply(request: Request, status: int, message: Any, headers: dict[str, str] | None = None) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        page = document("This cannot be opened", f"<p>{escape(str(message))}</p>", "message")
        return HTMLResponse(page, status, headers)
    return JSONResponse({"detail": message}, status, headers)
