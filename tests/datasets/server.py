"""An HTTP server on this computer whose answers are scripted, request by request."""

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOCK = 8192


@dataclass(frozen=True)
class Step:
    """How one request is answered; as it is, like a good server, with Range and If-Range.

    Attributes:
        status: answer with this status and no body.
        headers: set on top of the usual ones; None leaves one out.
        content: what the file holds from this request on.
        ranges, if_range: whether these headers are honored.
        cut: body bytes after which the connection ends; reset: not by an orderly end but a reset.
        stall: body bytes after which nothing more comes.
        length_error: added to Content-Length; start_error and total_error: to those of Content-Range.
        chunked: no Content-Length but chunks.
        slow: seconds between blocks; block: their size.
    """

    status: int | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    content: bytes | None = None
    ranges: bool = True
    if_range: bool = True
    cut: int | None = None
    reset: bool = False
    stall: int | None = None
    length_error: int = 0
    start_error: int = 0
    total_error: int = 0
    chunked: bool = False
    slow: float = 0.0
    block: int = BLOCK


class MirrorServer(ThreadingHTTPServer):
    """Serves one file under any path, or several by name.

    `requests` are the headers it was sent, `served` counts the body bytes it sent.
    """

    daemon_threads = True

    def __init__(
        self, content: bytes | dict[str, bytes], *script: Step, after: Step, headers: dict[str, str | None]
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.script, self.after, self.headers = content, list(script), after, headers
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.served = 0
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/dataset"

    @property
    def ranges(self) -> list[str | None]:
        """The Range header of each request."""
        return [request.get("Range") for request in self.requests]

    def handle_error(self, request, client_address) -> None:
        """Clients that leave are part of the tests."""


@contextlib.contextmanager
def serve(
    content: bytes | dict[str, bytes], *script: Step, after: Step | None = None, **headers: str | None
) -> Iterator[MirrorServer]:
    """A running server; `after` answers the requests behind the script."""
    usual = {"ETag": '"1"', "Last-Modified": "Thu, 11 Jan 2018 00:00:00 GMT", "Content-Type": "application/x-tar"}
    usual |= {name.replace("_", "-"): value for name, value in headers.items()}
    with MirrorServer(content, *script, after=after or Step(), headers=usual) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MirrorServer

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(dict(self.headers))
        server.paths.append(self.path)
        step = server.script.pop(0) if server.script else server.after
        if step.content is not None:
            server.content = step.content
        content = server.content
        if isinstance(content, dict):
            content = content[self.path.rpartition("/")[2]]
        headers = {**server.headers, **step.headers}
        self.close_connection = True
        if step.status:
            self._head(step.status, {"Content-Length": "0", **headers})
            return
        total = len(content)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if step.ranges else None
        if step.if_range and self.headers.get("If-Range") not in (None, headers["ETag"], headers["Last-Modified"]):
            wanted = None
        start = int(wanted[1]) if wanted else 0
        if wanted and start >= total:
            self._head(416, {**headers, "Content-Length": "0", "Content-Range": f"bytes */{total}"})
            return
        length = {"Content-Length": str(total - start + step.length_error)}
        if step.chunked:
            length = {"Transfer-Encoding": "chunked"}
        if wanted:
            length["Content-Range"] = f"bytes {start + step.start_error}-{total - 1}/{total + step.total_error}"
        self._head(206 if wanted else 200, {**length, **headers})
        self._body(step, content[start:])

    def _head(self, status: int, headers: dict[str, str | None]) -> None:
        self.send_response(status)
        self.send_header("Connection", "close")  # or a client under load takes it for open
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def _body(self, step: Step, body: bytes) -> None:
        end = min(len(body), *(limit for limit in (step.cut, step.stall) if limit is not None), len(body))
        for start in range(0, end, step.block):
            block = body[start : min(start + step.block, end)]
            self.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n" if step.chunked else block)
            self.server.served += len(block)
            if step.slow:
                self.server.stopped.wait(step.slow)
        if step.chunked and step.cut is None:
            self.wfile.write(b"0\r\n\r\n")
        if step.stall is not None:
            self.server.stopped.wait(10)
        if step.reset:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()

    def log_message(self, *args) -> None:
        """Say nothing."""
