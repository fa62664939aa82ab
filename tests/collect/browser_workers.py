"""Simulated workers who judge a study on its page, several at a time, each in a Chromium context of its own."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence

import numpy as np
from playwright.async_api import Browser, Page, async_playwright

from lpips_repro.collect.progress import of_splits
from lpips_repro.collect.protocol import GAP_MS, ON_MS
from lpips_repro.collect.simulated import Simulated, choices_of, remaining
from lpips_repro.collect.study import OpenStudy

CHROMIUM = "/usr/bin/chromium"
KEYS = {"left": "ArrowLeft", "right": "ArrowRight", "same": "s", "different": "d"}
OVER = re.compile("You can close this page")


async def fill(study: OpenStudy, link: str, kind: str, rounds: Sequence[Sequence[Simulated]]) -> None:
    """Workers come in rounds, all of a round at the same time, until all items of a kind have their judgments.

    Args:
        study: opened next to its server; link: that for platforms; kind: of the question; rounds: the workers.
    """
    for workers in rounds:
        async with chromium() as browser:
            jobs = [_judge(study, browser, link, kind, one, wait) for wait, one in enumerate(workers)]
            await asyncio.gather(*jobs)
        if all(row["complete"] == row["items"] for row in of_splits(study) if row["split"].startswith(kind)):
            return
    raise AssertionError(of_splits(study))


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def _judge(study: OpenStudy, browser: Browser, link: str, kind: str, worker: Simulated, wait: float) -> None:
    """All sessions that a worker gets for one kind of question, who comes after some seconds."""
    await asyncio.sleep(wait)
    said: list[str] = []
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    page.set_default_timeout(120_000)
    page.on("pageerror", lambda error: said.append(str(error)))
    await page.goto(link.replace("NAME", worker.name))
    rng = np.random.default_rng(sum(worker.name.encode()))
    begin, over = page.get_by_role("button", name="Begin"), page.get_by_text(OVER)
    while True:
        await _to_the_trials(page)
        await begin.or_(over).wait_for()
        if await over.is_visible():
            break
        await begin.click()
        state = await page.evaluate("fetch('/api/state').then((reply) => reply.json())")
        numbers, images = await asyncio.to_thread(remaining, study, state["session"], kind)
        choices = choices_of(kind, images, worker.attentive, rng)
        training = {one["number"] for one in state["trials"] if one["training"]}
        for number, choice in zip(numbers, choices, strict=True):
            await _answer(page, kind, f"{number + 1} of {state['total']}", choice, number in training)
        await over.wait_for()
        more = page.get_by_role("link", name="Judge more")
        if not await more.is_visible():
            break
        await more.click()
    await context.close()
    assert not said, said


async def _to_the_trials(page: Page) -> None:
    agree, following = (page.get_by_role("button", name=name) for name in ("I agree", "Next"))
    await agree.or_(following).or_(page.get_by_text(OVER)).wait_for()
    if await agree.is_visible():
        await agree.click()
    for _ in range(2):
        await following.or_(page.get_by_text(OVER)).wait_for()
        if await following.is_visible():
            await following.click()


async def _answer(page: Page, kind: str, place: str, choice: str, is_training: bool) -> None:
    await page.locator(".progress").get_by_text(re.compile(rf"(^|\D){place}$")).wait_for()
    if kind == "jnd":
        await asyncio.sleep((2 * ON_MS + GAP_MS) / 1000 - 0.1)  # looking for the buttons takes time from the page
        await page.get_by_role("button", name="Same").wait_for()
    await page.keyboard.press(KEYS[choice])
    if is_training:
        await page.get_by_role("button", name="Continue").click()


def rounds(kind: str, count: int, inattentive: int) -> list[list[Simulated]]:
    """So many workers, of whom the first answer at random; then two at a time, for the judgments that are missing."""
    everyone = [Simulated(f"{kind}-{i}", i >= inattentive) for i in range(count + 10)]
    return [everyone[:count], *(everyone[i : i + 2] for i in range(count, count + 10, 2))]
