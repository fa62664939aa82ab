"""A server of a study in a thread, and workers with a browser."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn
from playwright.sync_api import Page, sync_playwright

from lpips_repro.collect.server import make_app, signer_of
from lpips_repro.collect.study import OpenStudy


@contextlib.contextmanager
def served(study: OpenStudy) -> Iterator[str]:
    """The address of a server of the study, which stops after the block."""
    app = make_app(study, signer_of(study.cfg))
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def browser_page(width: int = 1280, height: int = 900, errors: bool = True) -> Iterator[Page]:
    """A page of a headless Chromium. Its errors and refused scripts fail the test, unless the test makes them."""
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(60_000)
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        browser.close()
    assert not (errors and said), said


def link(study: OpenStudy, address: str, kind: str, worker: str) -> str:
    return f"{address}/join/{signer_of(study.cfg).link(kind, worker)}"


def begin_in(page: Page) -> None:
    """Through consent, instructions and the check of the screen, up to the first trial."""
    page.get_by_role("button", name="I agree").click()
    for _ in range(2):
        page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Begin").click()
