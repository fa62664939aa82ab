"""The page in a real Chromium: workers judge on it to the end, and pairs are timed by the screen's frames."""

import shutil

import pytest
from playwright.sync_api import Page

from lpips_repro.collect.models import Trial
from lpips_repro.collect.page_files import FILES, OWN, install_libraries
from lpips_repro.collect.progress import of_sessions, timing_within_a_frame
from lpips_repro.collect.study import open_study
from tests.collect.conftest import config, write_dataset
from tests.collect.serving import begin_in, browser_page, link, served
from tests.collect.sitting import choice_of, trials_of
from tests.collect.test_whole_study import check_pairs_are_never_shorter

slow = pytest.mark.slow


def answer(page: Page, kind: str, trial: Trial, total: int) -> None:
    page.get_by_text(f"{trial.number + 1} of {total}", exact=False).wait_for()
    choice = choice_of(kind, trial)
    if kind == "2afc":
        page.locator(f"button.{choice}").click()
    else:
        page.get_by_role("button", name="Same").wait_for()
        page.keyboard.press(choice[0])
    if trial.role == "training":
        page.get_by_role("button", name="Continue").click()


def test_every_file_of_the_page_is_there():
    assert all(FILES[name][0].is_file() for name in OWN)


@slow
@pytest.mark.parametrize("kind", ["2afc", "jnd"])
def test_a_worker_judges_to_the_end_and_reloads_go_on_at_the_same_trial(kind, tmp_path):
    if not shutil.which("chromium"):
        pytest.skip("no Chromium: apt-get install chromium")
    install_libraries()
    study = open_study(config(write_dataset(tmp_path / "set", 4, 2, 4, 64), tmp_path / "store", "size=64"))
    with served(study) as address, browser_page() as page:
        page.goto(link(study, address, kind, "a"))
        begin_in(page)
        page.locator(".progress").wait_for()
        trials = trials_of(study, of_sessions(study)[0]["session"])
        for trial in trials:
            if trial.number == 12:
                page.reload()
                page.get_by_role("button", name="Begin").click()
            answer(page, kind, trial, len(trials))
        page.get_by_text("Thank you").wait_for()
        row = of_sessions(study)[0]
    assert (row["state"], row["answered"], row["right"]) == ("finished", len(trials), row["sentinels"])
    assert not row["excluded"]
    _, pairs = timing_within_a_frame(study)
    assert pairs == (len(trials) if kind == "jnd" else 0)
    check_pairs_are_never_shorter(study)
    study.store.close()


@slow
@pytest.mark.parametrize("width", [1280, 400])
def test_pictures_fit_at_a_whole_number_of_pixels(width, tmp_path):
    if not shutil.which("chromium"):
        pytest.skip("no Chromium: apt-get install chromium")
    install_libraries()
    study = open_study(config(write_dataset(tmp_path / "set", 4, 2, 0, 64), tmp_path / "store", "size=64"))
    with served(study) as address, browser_page(width) as page:
        page.goto(link(study, address, "2afc", "a"))
        begin_in(page)
        page.locator("button.left").wait_for()
        boxes = [image.bounding_box() for image in page.locator("img").all()]
    assert len(boxes) == 3
    assert {box["width"] for box in boxes} == {256 if width == 1280 else 128}
    assert min(box["x"] for box in boxes) >= 0
    assert max(box["x"] + box["width"] for box in boxes) <= width
    study.store.close()


@slow
@pytest.mark.parametrize(("status", "title"), [(410, "Too late"), (409, "This cannot go on"), (None, "No connection")])
def test_a_worker_whose_answer_is_not_stored_is_told_and_can_go_on(status, title, tmp_path):
    study = open_study(config(write_dataset(tmp_path / "set", 4, 2, 0), tmp_path / "store"))
    with served(study) as address, browser_page(errors=False) as page:
        page.goto(link(study, address, "2afc", "a"))
        begin_in(page)
        reply = {"status": status, "json": {"detail": "why"}}
        page.route("**/api/answer", lambda route: route.fulfill(**reply) if status else route.abort())
        page.locator("button.left").click()
        page.get_by_role("heading", name=title).wait_for()
        if status:
            assert page.get_by_text("why").is_visible()
        page.unroute("**/api/answer")
        page.goto(address)
        page.get_by_role("button", name="Begin").click()
        page.locator("button.left").click()
        page.get_by_text("2 of 21").wait_for()
    study.store.close()
