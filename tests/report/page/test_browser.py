"""The page in a browser, opened from its folder."""

import csv
import io
import json
import shlex
from urllib.parse import quote

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from lpips_repro.evaluation.disagreement import disagreements_on
from lpips_repro.evaluation.protocols.twoafc import TWOAFC, twoafc_credits
from tests.report.page.conftest import HOSTILE, QUOTES, SPLITS
from tests.report.page.reports import SIZE, make_report, noise, random_distances, random_votes

VIEWS = ("summary", "differences", "figures", "examples", "built-from")


@pytest.fixture(scope="module")
def tab(browser, report):
    """A tab that records errors and loaded addresses."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(5000)
    page.faults, page.addresses = [], []
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("requestfailed", lambda request: page.faults.append(request.url))
    page.on("request", lambda request: page.addresses.append(request.url))
    yield page
    context.close()


@pytest.fixture
def opened(tab, report):
    """Opens an address of the page."""

    def open_(hash_=""):
        tab.goto("about:blank")
        tab.goto(f"{report.index.as_uri()}#{hash_}")
        tab.wait_for_selector("html.started")
        return tab

    yield open_
    assert tab.faults == []
    assert all(address.startswith(("file:", "data:", "about:", "blob:")) for address in tab.addresses)
    assert "broken" not in tab.title()


def labels_of(tab, table="twoafc"):
    return tab.eval_on_selector_all(f"table[data-name={table}] tbody tr", "rows => rows.map(r => r.dataset.label)")


def lines_of(report, table="twoafc"):
    return [*csv.DictReader(io.StringIO((report.tables / f"{table}.csv").read_text()))]


def example(tab):
    tab.wait_for_function(
        "document.querySelector('[data-view=examples]').dataset.shown"
        " === document.querySelector('[data-part=name]').textContent"
    )
    return tab.text_content("[data-part=name]")


def test_a_click_on_a_heading_sorts_and_the_address_keeps_it(opened, report):
    tab = opened()
    assert labels_of(tab) == [line["label"] for line in lines_of(report)]
    tab.click("table[data-name=twoafc] th[data-column=all]")
    tab.wait_for_url("**#summary?twoafc=all.desc")  # DataTables sorts in a later task
    wanted = sorted(lines_of(report), key=lambda line: -float(line["all"]))
    assert labels_of(tab) == [line["label"] for line in wanted]
    link = tab.url
    opened(link.partition("#")[2])
    assert labels_of(tab) == [line["label"] for line in wanted]


def test_a_heading_sorts_the_best_first(opened, report):
    tab = opened()
    tab.click("table[data-name=twoafc_likelihood] th[data-column=all]")
    tab.wait_for_url("**#summary?twoafc_likelihood=all.asc")  # lower is better
    lines = [line for line in lines_of(report, "twoafc_likelihood") if line["all"]]
    wanted = sorted(lines, key=lambda line: float(line["all"]))
    assert labels_of(tab, "twoafc_likelihood") == [line["label"] for line in wanted]


def test_text_filters_the_rows_of_all_tables(opened):
    tab = opened()
    tab.fill("#find", "lpips")
    assert set(labels_of(tab)) == {HOSTILE, QUOTES, "net"}
    assert set(labels_of(tab, "jnd")) == {HOSTILE, QUOTES, "net"}
    assert tab.url.endswith("#summary?find=lpips")


@pytest.mark.parametrize("table", ["twoafc", "jnd"])
def test_downloads_are_the_table(opened, report, table):
    tab = opened()
    with tab.expect_download() as csv_file:
        tab.click(f"[data-table={table}] button[data-do=csv]")
    assert csv_file.value.path().read_bytes() == (report.tables / f"{table}.csv").read_bytes()
    assert csv_file.value.suggested_filename == f"{table}.csv"
    with tab.expect_download() as json_file:
        tab.click(f"[data-table={table}] button[data-do=json]")
    records = json.loads(json_file.value.path().read_text())
    lines = lines_of(report, table)
    assert [one["label"] for one in records] == [line["label"] for line in lines]
    assert [one["all"] for one in records] == [float(line["all"]) for line in lines]
    assert [one["settings"] for one in records] == [json.loads(line["settings"]) for line in lines]


def test_rows_are_copied_as_they_are_shown(opened, report):
    tab = opened("summary?twoafc=all.asc&find=lpips")
    tab.click("[data-table=twoafc] button[data-do=copy]")
    tab.wait_for_function("document.querySelector('[data-table=twoafc] [role=status]').textContent === 'Copied.'")
    head, *lines = tab.evaluate("navigator.clipboard.readText()").splitlines()
    assert head.split("\t")[:2] == ["label", "group"]
    wanted = sorted((line for line in lines_of(report) if line["group"] == "lpips"), key=lambda one: float(one["all"]))
    assert [line.split("\t")[0] for line in lines] == [one["label"] for one in wanted]


def test_examples_have_the_order_of_make_disagreements(opened, report):
    tab = opened("examples?a=l2&b=net")
    wanted = []
    for split in (one for one in report.splits.values() if one.card["kind"] == "2afc"):
        of_split = {name: report.distances[name][split.name] for name in ("l2", "net")}
        columns = {name: dict(zip(TWOAFC.distances, pair, strict=True)) for name, pair in of_split.items()}
        wanted += disagreements_on(split, columns)
    wanted = [one for one in wanted if one.answers[0].verdict != one.answers[1].verdict]
    wanted.sort(key=lambda one: -one.strength)
    for one in wanted[:4]:
        assert example(tab) == f"{one.split.rpartition('/')[2]}/{one.index}"
        tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Home")
    tab.keyboard.press("PageDown")
    assert example(tab) == f"{wanted[10].split.rpartition('/')[2]}/{wanted[10].index}"
    tab.keyboard.press("ArrowLeft")
    assert example(tab) == f"{wanted[9].split.rpartition('/')[2]}/{wanted[9].index}"


@pytest.mark.parametrize("unanimous", [False, True])
def test_a_filter_finds_the_examples_that_votes_and_distances_give(opened, report, unanimous):
    tab = opened("examples?a=l2&b=net&show=only-a-against")
    example(tab)
    tab.set_checked("[name=unanimous]", unanimous)
    count = 0
    for split in (one for one in report.splits.values() if one.card["kind"] == "2afc"):
        a, b = (twoafc_credits(*report.distances[name][split.name], split.votes) for name in ("l2", "net"))
        asked = np.isin(split.votes, (0, 1)) if unanimous else True
        count += int(((a < 0.5) & (b > 0.5) & asked).sum())
    tab.wait_for_function(f"document.querySelector('[data-view=examples]').dataset.matches === '{count}'")


@pytest.mark.parametrize("place", [0, 1])
def test_a_linked_example_shows_its_own_pixels_enlarged_without_smoothing(opened, report, place):
    name, index = SPLITS[place], 71
    tab = opened(f"{quote(name, safe='')}/{index}")
    assert example(tab) == f"{name}/{index}"
    tab.wait_for_selector("[data-part=images]:not([hidden])")
    zoom = 320 // SIZE
    for field in TWOAFC.images:
        shot = Image.open(io.BytesIO(tab.locator(f"canvas[data-image={field}]").screenshot())).convert("RGB")
        shown, wanted = np.asarray(shot), report.splits[f"2afc/val/{name}"].arrays[field][index]
        for inside in (3, zoom // 2, zoom - 4):  # inside of each pixel: its edges may be blurred
            assert np.array_equal(shown[inside::zoom, inside::zoom][:SIZE, :SIZE], wanted)
    votes = report.splits[f"2afc/val/{name}"].votes[index]
    assert f"{round(100 * float(votes))} % chose p1" in tab.text_content("[data-part=votes]")


def test_every_method_has_its_distances_and_verdict(opened, report):
    tab = opened("plain/5")
    tab.wait_for_function("!document.querySelector('[data-part=methods]').textContent.includes('…')")
    rows = tab.eval_on_selector_all(
        "[data-part=methods] tr", "rows => rows.map(r => [...r.cells].map(c => c.innerText))"
    )
    assert {row[0] for row in rows} == {*report.distances}
    for label, d0, d1, verdict, _ in rows:
        one, two = (float(values[5]) for values in report.distances[label]["2afc/val/plain"])
        assert (float(d0), float(d1)) == pytest.approx((one, two), rel=1e-3)
        assert verdict == ("p0" if one < two else "p1")


@pytest.mark.parametrize("place", [0, 1])
def test_the_command_for_an_example_without_a_map_names_it_for_shell_and_hydra(opened, report, place):
    tab = opened(f"{quote(SPLITS[place], safe='')}/5")
    example(tab)
    *_, args = shlex.split(tab.text_content("[data-part=maps-command]"))
    assert args.startswith("ARGS=")
    *_, override = shlex.split(args.removeprefix("ARGS="))  # parsed by the shell that make starts
    (parsed,) = OverridesParser.create().parse_overrides([override])
    assert (parsed.key_or_group, parsed.value()) == ("report.examples", [f"{SPLITS[place]}/5"])


def test_an_example_that_does_not_exist_gives_a_message_and_shows_another_one(opened):
    tab = opened("plain/9000")
    assert example(tab) != "plain/9000"
    assert tab.text_content("[data-part=message]") == "There is no example plain/9000."


def test_a_table_with_published_figures_fits_a_laptop_and_keeps_its_methods_in_view_on_a_phone(browser, tmp_path):
    splits = [noise(tmp_path / "packed", name, random_votes(9, 0), "human") for name in TWOAFC.averages["all"]]
    distances = random_distances(["alex off the shelf v0.0", "alex lin v0.1 (trained here, 3 seeds)"], splits)
    index = make_report(tmp_path, splits, distances, "report.images=none", bootstrap=10, paper=True).index
    page = browser.new_page(viewport={"width": 1265, "height": 900})  # 1280 without a scroll bar
    page.goto(index.as_uri())
    page.wait_for_selector("html.started")
    assert page.text_content("table.scores .paper").startswith("paper ")
    widths = "[document.querySelector('.wide').scrollWidth, document.querySelector('.wide').clientWidth]"
    needed, width = page.evaluate(widths)
    assert needed == width
    page.set_viewport_size({"width": 400, "height": 900})
    page.evaluate("document.querySelector('.wide').scrollLeft = 500")
    for cell in ("thead th:first-child", "tbody th"):
        assert page.locator(f"table.scores {cell}").first.bounding_box()["x"] == pytest.approx(16, abs=1)
    needed, _ = page.evaluate(widths)
    assert needed < 1200  # with some space left for other fonts
    page.close()


@pytest.mark.parametrize("view", VIEWS)
def test_the_banner_on_simulated_judgments_stays_in_view(opened, view):
    tab = opened(view)
    tab.set_viewport_size({"width": 400, "height": 500})
    tab.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    box = tab.locator(".banner").bounding_box()
    assert box["y"] >= 0 and "SIMULATED judgments" in tab.text_content(".banner")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    tab.set_viewport_size({"width": 1280, "height": 900})


def test_names_are_escaped(opened):
    tab = opened()
    names = tab.eval_on_selector_all(
        "table[data-name=twoafc] tbody th", "c => c.map(one => one.firstChild.textContent)"
    )
    assert {HOSTILE, QUOTES} <= {*names}
    tab = opened("examples")
    example(tab)
    options = tab.eval_on_selector_all("[name=a] option", "options => options.map(one => one.textContent)")
    assert {HOSTILE, QUOTES} <= {*options}
    tab = opened("differences")
    assert HOSTILE in tab.text_content("[data-view=differences]")
    assert tab.query_selector("main img[src=x]") is None


def test_the_matrix_of_pairs_has_the_differences_of_the_scores(opened, report):
    tab = opened("differences")
    tab.click("article:not([hidden]) [data-matrix] summary")
    tab.wait_for_selector("article:not([hidden]) .matrix tr")
    cells = tab.eval_on_selector_all(
        "article:not([hidden]) .matrix tr", "rows => rows.map(r => [...r.cells].map(c => c.textContent))"
    )
    scores = {line["label"]: float(line["all"]) for line in lines_of(report)}
    for name, *numbers in cells[1:]:
        for other, number in zip(cells[0][1:], numbers, strict=True):
            if name != other:
                assert float(number) == pytest.approx(scores[name] - scores[other], abs=0.011)  # numbers are rounded
