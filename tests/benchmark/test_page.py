"""The rows of the benchmark of the page, on few examples."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lpips_repro.benchmark import page


def test_rows_are_times_of_opening_filtering_and_stepping(monkeypatch):
    pytest.importorskip("playwright")
    monkeypatch.setattr(page, "COUNTS", {("2afc", "val", "cnn"): 60, ("2afc", "val", "color"): 30})
    for name in ("OPENED", "FILTERED", "STEPPED"):
        monkeypatch.setattr(page, name, 2)
    with ThreadPoolExecutor(1) as thread:  # Playwright runs once per thread, and other tests may run it in this one
        rows = thread.submit(page.bench_page).result()
    if rows[0].note.startswith("no Chromium"):
        pytest.skip(rows[0].note)
    assert [(row.task, row.unit, row.repeats) for row in rows] == [
        ("page: open", "ms", 2),
        ("page: filter", "ms", 2),
        ("page: step", "ms", 2),
    ]
    assert all(0 < row.rate < 60_000 for row in rows)


def test_without_a_browser_the_reason_is_the_row(monkeypatch):
    pytest.importorskip("playwright")
    monkeypatch.setattr(page.shutil, "which", lambda name: None)
    (row,) = page.bench_page()
    assert row.rate is None and row.note == "no Chromium: on Debian, apt-get install chromium"
