"""Times of a report's page in Chromium: as many triplets as BAPPS has for validation, ten methods, synthetic images.

open      from opening the page to the first example with its images
filter    from a change of methods, filter or order to the drawn result
step      from a key press to the next example, drawn

Times are medians in milliseconds, with quartiles; the note has the longest time.
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lpips_repro.benchmark.rate_table import Row
from lpips_repro.config import Images, PageConfig
from lpips_repro.datasets.bapps.published import COUNTS
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.table import Row as TableRow
from lpips_repro.report.page.built_from import BuiltFrom
from lpips_repro.report.page.examples import Examples
from lpips_repro.report.page.explorer import make_explorer
from lpips_repro.report.page.write import Page, write_page

METHODS, SIZE, JUDGES = 10, 64, 5
OPENED, FILTERED, STEPPED = 5, 24, 24  # number of times
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SHOWN = "document.querySelector('[data-view=examples][data-shown]')"
# Milliseconds from an event to the frame after the change that it causes.
TIMED = """(act) => new Promise((resolve) => {
    const position = document.querySelector("[data-part=position]");
    const start = performance.now();
    const observer = new MutationObserver(() => {
        observer.disconnect();
        requestAnimationFrame(() => resolve(performance.now() - start));
    });
    observer.observe(position, { childList: true, characterData: true, subtree: true });
    new Function(act)();
})"""
CHANGE = "const f = document.querySelector('form'); {} f.dispatchEvent(new Event('change'));"
NEXT = "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));"


def bench_page() -> list[Row]:
    """Return the rows of the page; if there is no browser, one row with the reason."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return [Row("page", note="playwright is not installed: pip install 'lpips_repro[dev]'")]
    if path is None:
        return [Row("page", note="no Chromium: on Debian, apt-get install chromium")]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        index = _synthetic_page(Path(folder))
        browser = playwright.chromium.launch(executable_path=path)
        opened = [_opened(browser, index) for _ in range(OPENED)]
        tab = browser.new_page()
        tab.goto(f"{index.as_uri()}#examples")
        tab.wait_for_function(SHOWN)
        filtered = [tab.evaluate(TIMED, CHANGE.format(_choice(turn))) for turn in range(FILTERED)]
        stepped = [tab.evaluate(TIMED, NEXT) for _ in range(STEPPED)]
        browser.close()
    return [_row("open", opened), _row("filter", filtered), _row("step", stepped)]


def _row(what: str, times: Sequence[float]) -> Row:
    low, middle, high = (float(one) for one in np.quantile(times, (0.25, 0.5, 0.75)))
    note = f"the longest of {len(times)} took {max(times):.0f} ms"
    return Row(f"page: {what}", rate=middle, rate_low=low, rate_high=high, unit="ms", repeats=len(times), note=note)


def _opened(browser: Any, index: Path) -> float:
    """Milliseconds from a new window to the first example."""
    context = browser.new_context()
    tab = context.new_page()
    start = time.perf_counter()
    tab.goto(f"{index.as_uri()}#examples")
    tab.wait_for_function(SHOWN)
    passed = time.perf_counter() - start
    context.close()
    return 1000 * passed


def _choice(turn: int) -> str:
    """JavaScript that chooses methods, filter and order; they differ between turns."""
    names = ["differ", "only-a-against", "both-against", "all"]
    orders = ["strength", "margin", "index"]
    methods = f"f.a.value = {turn % METHODS}; f.b.value = {(turn + 3) % METHODS};"
    chosen = f"f.show.value = '{names[turn % len(names)]}'; f.order.value = '{orders[turn % len(orders)]}';"
    return f"{methods} {chosen} f.unanimous.checked = {str(turn % 5 == 4).lower()};"


def _synthetic_page(folder: Path) -> Path:
    """Write a page with as many examples as BAPPS has, with random votes, distances and images; returns its path."""
    rng = np.random.default_rng(0)
    counts = {split: count for (kind, phase, split), count in COUNTS.items() if (kind, phase) == (TWOAFC.kind, "val")}
    splits = [_split(folder, name, count, rng) for name, count in counts.items()]
    methods = []
    for place in range(METHODS):
        row = TableRow("lpips", f"method-{place}", scores={"all": 60.0})
        methods.append((row, {split.name: (rng.random(len(split)), rng.random(len(split))) for split in splits}))
    settings = PageConfig(images=Images.selected, selected=3000, maps=0, examples=[])
    explorer = make_explorer(Examples(splits, methods), settings, folder, download=False)
    built = BuiltFrom({}, [], [])
    page = Page("benchmark", "simulated", [], "none", explorer, "", (0, 1), [], "none", {}, {}, built)
    return write_page(folder / "report", page)


def _split(folder: Path, name: str, count: int, rng: np.random.Generator) -> PackedSplit:
    """A split whose images are views of one image of noise, which takes little memory."""
    noise = rng.integers(0, 256, (SIZE, count + SIZE + len(TWOAFC.images), 3), np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(noise, (SIZE, SIZE, 3))[0, :, 0]
    arrays = {field: windows[place : place + count] for place, field in enumerate(TWOAFC.images)}
    votes = rng.integers(0, JUDGES + 1, count) / JUDGES
    card = {
        "kind": TWOAFC.kind,
        "phase": "val",
        "split": name,
        "count": count,
        "digest": name,
        "observers": "simulated",
    }
    return PackedSplit(folder / name, card, {**arrays, TWOAFC.vote: votes.astype(np.float32)})
