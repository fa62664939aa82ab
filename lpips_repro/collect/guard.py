"""What the server does with every request before anything else, and the headers of every response."""

import asyncio
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 16 * 1024  # bytes
LONGEST_SECONDS = 30  # that a body may take to arrive
HEADERS = {
    "Content-Security-Policy": (
        # jsPsych sets attributes of style.
        "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
READING = ("GET", "HEAD", "OPTIONS")
# Under no-referrer, browsers send a form as if from no site. That of the admin page has a token that no site knows.
WITH_A_TOKEN = ("/admin",)


class Guard:
    """Refuses bodies that are too large (413) or too slow (408) and changes that another site asks for (403).

    It adds the headers.

    Args:
        app: what is guarded; origin: what the server is called from outside, as in https://study.example.org, or None.
    """

    def __init__(self, app: ASGIApp, origin: str | None = None) -> None:
        self.app, self.host = app, urlsplit(origin).netloc if origin else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Of ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        if scope["method"] not in READING and scope["path"] not in WITH_A_TOKEN and self._is_foreign(headers):
            await _refuse(403, "Another site sent this request.")(scope, receive, send_with_headers)
            return
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                body = await _body(receive)
        except TimeoutError:
            await _refuse(408, f"The request took longer than {LONGEST_SECONDS} s.")(scope, receive, send_with_headers)
            return
        if body is None:
            await _refuse(413, f"More than {LARGEST_BODY} bytes.")(scope, receive, send_with_headers)
            return
        await self.app(scope, _replayed(body, receive), send_with_headers)

    def _is_foreign(self, headers: Headers) -> bool:
        """Whether a browser says that the page of another site asks. Without a word of it, the CSRF token decides."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        return urlsplit(origin).netloc not in (headers.get("host"), self.host)


def _refuse(status: int, message: str) -> JSONResponse:
    return JSONResponse({"detail": message}, status)


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or None if it is too large: no more of it is read then."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body once, then what comes after it."""
    left = [body]

    async def replay() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return replay
