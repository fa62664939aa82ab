"""The server of a study: the page, what it asks for, and the admin page."""

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from lpips_repro.collect import admin, api
from lpips_repro.collect.guard import Guard
from lpips_repro.collect.page_files import FILES, PAGE
from lpips_repro.collect.refusal import Refusal
from lpips_repro.collect.replies import add_replies
from lpips_repro.collect.settings import CollectConfig
from lpips_repro.collect.signing import ADMIN_TOKEN, SECRET, Signer, kept_secret
from lpips_repro.collect.study import OpenStudy
from lpips_repro.errors import UserError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SEAT_SECONDS = 7 * 24 * 3600
LONGEST_CONSENT = 20_000  # characters
THREADS = 4  # for everything but answers


def has_admin(cfg: CollectConfig) -> bool:
    """Whether the server has the admin page: by the settings, or if it listens on this machine alone."""
    return cfg.host in LOOPBACK if cfg.admin is None else cfg.admin


def signer_of(cfg: CollectConfig) -> Signer:
    """What signs for the study."""
    return Signer(kept_secret(Path(cfg.store), SECRET), cfg.name, cfg.link_days * 24 * 3600, SEAT_SECONDS)


def make_app(study: OpenStudy, signer: Signer) -> FastAPI:
    """The application of a study.

    Raises:
        UserError: if the text of the consent cannot be read.
    """
    cfg = study.cfg
    app = FastAPI(
        title="A study of human judgments", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_few_threads
    )
    app.include_router(api.routes(study, signer, _consent(cfg)))
    if has_admin(cfg):
        app.include_router(admin.routes(study, kept_secret(Path(cfg.store), ADMIN_TOKEN)))

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", media_type="text/html")

    @app.get("/favicon.ico", include_in_schema=False, status_code=204)
    def no_icon() -> None:
        """Browsers ask for it."""

    @app.get("/page/{name}", include_in_schema=False)
    def file(name: str) -> FileResponse:
        if name not in FILES:
            raise Refusal(404, "No such file.")
        path, kind = FILES[name]
        return FileResponse(path, media_type=kind)

    add_replies(app)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=_hosts(cfg), www_redirect=False)
    app.add_middleware(Guard, origin=cfg.address)
    return app


@contextlib.asynccontextmanager
async def _few_threads(app: FastAPI) -> AsyncIterator[None]:
    """Let the event loop, which takes all answers, wait for few other threads, and for a short time.

    Python gives the interpreter to a waiting thread after 5 ms by default. Forty threads that compress images made
    answers wait for 300 ms.
    """
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-4)
    yield
    sys.setswitchinterval(interval)


def _hosts(cfg: CollectConfig) -> list[str]:
    """The names by which the server answers: other ones would let another site's name lead here."""
    named = urlsplit(cfg.address).hostname if cfg.address else None
    if cfg.host in LOOPBACK or named:
        return [*LOOPBACK, "[::1]", *([named] if named else [cfg.host])]
    return ["*"]


def _consent(cfg: CollectConfig) -> str | None:
    if cfg.consent is None:
        return None
    try:
        text = Path(cfg.consent).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"consent={cfg.consent}: not readable as text in UTF-8 ({error}): restore it") from error
    if not 0 < len(text) <= LONGEST_CONSENT:
        raise UserError(f"consent={cfg.consent}: {len(text)} characters: expected 1 to {LONGEST_CONSENT}")
    return text
