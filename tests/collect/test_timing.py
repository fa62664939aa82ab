"""Pairs are timed by the screen's frames: checked with frames whose times the test decides."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from lpips_repro.collect.page_files import install_libraries
from lpips_repro.collect.progress import judgments
from lpips_repro.collect.protocol import GAP_MS, ON_MS
from lpips_repro.collect.study import open_study
from tests.collect.browser_workers import CHROMIUM
from tests.collect.conftest import config, write_dataset
from tests.collect.serving import begin_in, browser_page, link, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no Chromium: apt-get install chromium"),
]
WANTED = np.array([ON_MS, GAP_MS, ON_MS])

# Frames come at once, and say that they are INTERVAL ms apart; some of them take twice as long.
FRAMES = """
(() => {
  let now = 0, count = 0, waiting = new Map(), next = 1;
  const channel = new MessageChannel();
  channel.port1.onmessage = () => {
    count += 1;
    now += INTERVAL * ((count * count) % DROPPED === 1 ? 2 : 1);
    const called = [...waiting.values()];
    waiting = new Map();
    for (const callback of called) callback(now);
  };
  window.requestAnimationFrame = (callback) => {
    if (!waiting.size) channel.port2.postMessage(0);
    waiting.set(next, callback);
    return next++;
  };
  performance.now = () => now;
  window.cancelAnimationFrame = (id) => waiting.delete(id);
})();
"""


def judged(page: Page, count: int) -> None:
    """So many pairs, from the beginning or where the worker left."""
    for _ in range(count):
        page.get_by_role("button", name="Same").click()
        page.get_by_role("button", name="Continue").click()


def times_of(study) -> np.ndarray:
    names = [f"{name}_ms" for name in ("onset0", "offset0", "onset1", "offset1")]
    return np.array([[row[name] for name in names] for row in judgments(study)])


@pytest.fixture
def study(tmp_path):
    install_libraries()
    opened = open_study(config(write_dataset(tmp_path / "set", 0, 0, 4), tmp_path / "store"))
    yield opened
    opened.store.close()


@pytest.mark.parametrize("hertz", [60, 75, 144])
def test_images_stay_for_the_nearest_number_of_frames_also_after_a_reload(study, hertz):
    interval = 1000 / hertz
    script = FRAMES.replace("INTERVAL", str(interval)).replace("DROPPED", "1e9")
    with served(study) as address, browser_page() as page:
        page.add_init_script(script)
        page.goto(link(study, address, "jnd", "a"))
        begin_in(page)
        judged(page, 2)
        page.reload()
        page.get_by_role("button", name="Begin").click()
        judged(page, 2)
    frames = np.rint(WANTED / interval)
    assert times_of(study)[:, 0].tolist() == [0] * 4
    assert np.diff(times_of(study)) == pytest.approx(np.tile(frames * interval, (4, 1)), abs=2e-3)
    assert [row["frame_ms"] for row in judgments(study)] == pytest.approx([interval] * 4, rel=0.02)


def test_frames_that_the_screen_drops_are_stored_as_they_were(study):
    script = FRAMES.replace("INTERVAL", "10").replace("DROPPED", "7")
    with served(study) as address, browser_page() as page:
        page.add_init_script(script)
        page.goto(link(study, address, "jnd", "a"))
        begin_in(page)
        judged(page, 4)
    shown = np.diff(times_of(study))
    assert (shown >= WANTED - 10).all() and (shown <= WANTED + 20).all()
    assert (np.abs(shown - WANTED) > 1).any()  # some of them fall on a frame that took twice as long


def test_a_pair_during_which_the_page_was_hidden_is_shown_again(study):
    with served(study) as address, browser_page() as page:
        page.goto(link(study, address, "jnd", "a"))
        begin_in(page)
        page.locator(".progress").wait_for()
        for hidden in ("true", "false"):
            page.evaluate(f"Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}})")
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.get_by_role("button", name="Show the pair again").click()
        assert not page.get_by_role("button", name="Same").is_visible()
        judged(page, 1)
    assert len(times_of(study)) == 1
