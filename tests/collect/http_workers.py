"""A server of a study as a process, and workers who answer over HTTP."""

import asyncio
import contextlib
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

from lpips_repro.collect.server import signer_of
from lpips_repro.collect.study import OpenStudy
from tests.collect.sitting import TIMING, choice_of, trials_of
from tests.processes import REPOSITORY, started

AHEAD, CONNECTIONS = 10, 6  # as in page/study.js, and of a browser


@contextlib.contextmanager
def serving(words: list[str], output: Path) -> Iterator[str]:
    """The address of a server in a process of its own, which is killed (-9) after the block."""
    with started([sys.executable, "scripts/collect.py", *words], output, PYTHONPATH=str(REPOSITORY)):
        end = time.monotonic() + 120
        while not (found := re.search(r" on (http://\S+): stop", output.read_text())):
            assert time.monotonic() < end, output.read_text()
            time.sleep(0.05)
        yield found[1]


def words_of(dataset: Path, store: Path, *more: str) -> list[str]:
    return [f"dataset={dataset}", f"store={store}", "size=16", "port=0", *more]


class HttpWorker:
    """A worker who answers sentinels rightly; `acknowledged` has the answers that the server has confirmed.

    Args:
        address: of the server; study: where the worker looks what is right; kind: of the session; name: any.
    """

    def __init__(self, address: str, study: OpenStudy, kind: str, name: str) -> None:
        self.client = httpx2.AsyncClient(base_url=address, timeout=60)
        self.link = f"/join/{signer_of(study.cfg).link(kind, name)}"
        self.study, self.kind = study, kind
        self.right: dict[int, str] = {}
        self.latencies: list[float] = []
        self.image_latencies: list[float] = []
        self.acknowledged: dict[tuple[int, int], str] = {}

    async def state(self) -> dict:
        found = (await self.client.get("/api/state")).raise_for_status().json()
        self.client.headers["X-CSRF-Token"] = found["csrf"]
        return found

    async def begin(self) -> dict:
        """Come, agree, and begin a session or go on with it."""
        await self.client.get(self.link)
        await self.state()
        (await self.client.post("/api/consent")).raise_for_status()
        await self.client.post("/api/session", json={})
        state = await self.state()
        if state["state"] == "active":
            self.right = {one.number: choice_of(self.kind, one) for one in trials_of(self.study, state["session"])}
        return state

    async def answer(self, session: int, number: int) -> None:
        choice = self.right[number]
        body = {"session": session, "number": number, "choice": choice, "response_ms": 1.0}
        if self.kind == "jnd":
            body["timing"] = TIMING
        begun = time.perf_counter()
        (await self.client.post("/api/answer", json=body)).raise_for_status()
        self.latencies.append(time.perf_counter() - begun)
        self.acknowledged[session, number] = choice

    async def sit(self) -> None:
        """One session after the other, as fast as the server replies."""
        try:
            while (state := await self.begin())["state"] == "active":
                for trial in state["trials"]:
                    await self.answer(state["session"], trial["number"])
        finally:
            await self.client.aclose()

    async def think_and_answer(self, seconds: float) -> None:
        """Go on with a session for some seconds, with pauses of 0.5 to 1 s. Images come as the page asks for them."""
        state, end = await self.state(), time.monotonic() + seconds
        await asyncio.sleep(0.75 * AHEAD * random.random())  # they do not come at the same moment
        for place, trial in enumerate(state["trials"]):
            if place % AHEAD == 0:
                await self.load(state, state["trials"][place : place + AHEAD])
            await asyncio.sleep(0.5 + 0.5 * random.random())
            if time.monotonic() > end:
                break
            await self.answer(state["session"], trial["number"])
        await self.client.aclose()

    async def load(self, state: dict, trials: list[dict]) -> None:
        """All images of some trials, over as many connections as a browser opens."""
        paths = [
            f"/images/{state['session']}/{one['number']}/{place}.png" for one in trials for place in state["places"]
        ]
        await asyncio.gather(*(self._get(paths[k::CONNECTIONS]) for k in range(CONNECTIONS)))

    async def _get(self, paths: list[str]) -> None:
        """Load images one after the other, without the HTTP client, which takes longer than the server."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.client.cookies.jar)
        url = self.client.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        for path in paths:
            begun = time.perf_counter()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nCookie: {cookies}\r\n\r\n".encode())
            status, _, headers = (await reader.readuntil(b"\r\n\r\n")).decode().partition("\r\n")
            assert " 200 " in status, status
            length = re.search(r"(?im)^content-length: (\d+)", headers)
            assert length, headers
            assert (await reader.readexactly(int(length[1]))).startswith(b"\x89PNG")
            self.image_latencies.append(time.perf_counter() - begun)
        writer.close()


def fsync_ms(folder: Path, count: int = 50) -> float:
    """The median time of an fsync of a small write, in ms."""
    times = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(count):
            file.write(b"x" * 4096)
            file.flush()
            begun = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return 1000 * sorted(times)[count // 2]
