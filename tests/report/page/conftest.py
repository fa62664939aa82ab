"""A report, and a browser to open it."""

import shutil

import pytest

from lpips_repro.evaluation.protocols.jnd import JND
from tests.report.page.reports import make_report, noise, random_distances, random_votes

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# Names with characters that need to be escaped.
HOSTILE = "<img src=x onerror=\"document.title='broken'\">"
QUOTES = "it's \"5 < 6\" & </script><script>document.title='broken'</script>"
SPLITS = ("plain", 'it\'s <b>"é" & 50% #1?')


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """A report in a folder whose name has spaces and characters that are not ASCII."""
    folder = tmp_path_factory.mktemp("page") / "mein Bericht, é #1 100%"
    splits = [noise(folder / "packed", name, random_votes(90, seed)) for seed, name in enumerate(SPLITS)]
    splits.append(noise(folder / "packed", "cnn", random_votes(20, 5), protocol=JND))
    labels = ("l2", HOSTILE, QUOTES, "net")
    return make_report(folder, splits, random_distances(labels, splits), likelihood=True)


@pytest.fixture(scope="module")  # Playwright cannot run twice in a thread
def browser():
    """Chromium; tests that need it are skipped if it is absent."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("no Chromium: on Debian, apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()
