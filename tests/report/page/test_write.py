"""The files of the page: complete, without files of earlier pages, and with the reasons for missing parts."""

import html
import json
import shutil

import pytest

from lpips_repro.errors import UserError
from lpips_repro.report.page import write
from lpips_repro.report.page.built_from import built_from
from lpips_repro.report.page.chosen_examples import RULE
from lpips_repro.report.page.make import make_page
from lpips_repro.report.page.table_library import datatables_script
from tests.report.page.reports import inputs_of, make_report, noise, random_distances, random_votes


@pytest.fixture
def made(tmp_path):
    """A small report with images."""
    split = noise(tmp_path / "packed", "one", random_votes(12, 0), "human")
    return make_report(tmp_path, [split], random_distances(["a", "b"], [split]))


def again(report, *overrides):
    """Make the page again; returns the files of the report's folder."""
    folder = report.index.parent
    make_page(inputs_of(folder.parent, [*report.splits.values()], *overrides), folder, {}, {})
    return files_of(report)


def files_of(report):
    folder = report.index.parent
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_page_names_every_file_that_it_loads(made):
    text = made.index.read_text()
    (assets,) = (name for name in (path.name for path in made.index.parent.iterdir()) if write.ASSETS.fullmatch(name))
    for name in write.SCRIPTS:
        assert f'src="{assets}/{name}.js"' in text
        assert (made.index.parent / assets / f"{name}.js").is_file()
    assert "SpryMedia" in (made.index.parent / assets / "dt_bundle.js").read_text()
    assert "MIT License" in (made.index.parent / assets / "LICENSE-itables.txt").read_text()


def test_nothing_is_loaded_from_another_host(made):
    text = made.index.read_text()
    assert "http://" not in text and "https://" not in text


def test_files_of_an_earlier_page_are_removed_and_those_of_the_user_are_kept(made):
    before = files_of(made)
    (made.index.parent / "mine.txt").write_text("a file of the user")
    after = again(made, "report.images=none")
    assert "mine.txt" in after
    assert not any(name.endswith(".webp") for name in after)
    assert len({name.partition("/")[0] for name in after if name.startswith("page-")}) == 1
    assert {name for name in again(made) if name.endswith(".webp")} == {
        name for name in before if name.endswith("webp")
    }


def test_an_earlier_page_is_unchanged_if_the_new_one_cannot_be_written(made, monkeypatch):
    before, text = files_of(made), made.index.read_text()

    def fails(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(write, "write_whole", fails)
    with pytest.raises(UserError, match="No space left on device: the earlier page is unchanged"):
        again(made, "report.images=none")
    monkeypatch.undo()
    assert made.index.read_text() == text
    assert before <= files_of(made)
    (made.index.parent / ".page-new").mkdir()  # left by a process that was killed
    again(made)
    assert not (made.index.parent / ".page-new").exists()


def test_the_number_and_size_of_images_are_printed(made, capsys):
    again(made)
    assert capsys.readouterr().out.startswith("images: all: 12 of 12 examples, about 0.0 MB\n")


def test_only_selected_ones_of_many_examples_have_images_and_the_page_has_the_rule(made, monkeypatch, capsys):
    monkeypatch.setattr("lpips_repro.report.page.explorer.MANY", 11)
    again(made, "report.selected=6")
    assert "images: selected: 6 of 12 examples" in capsys.readouterr().out
    assert f"6 of 12 examples have images. {RULE}" in html.unescape(made.index.read_text())


def test_the_page_names_the_command_for_missing_tables(made):
    shutil.rmtree(made.tables)
    again(made)
    text = made.index.read_text()
    assert text.count("run <code>make eval-tables</code>") == 3  # summary, differences, examples


def test_human_judgments_have_no_banner_and_those_of_unknown_observers_have_one(made, tmp_path):
    assert 'class="banner"' not in made.index.read_text()
    assert "Judgments: human observers." in made.index.read_text()
    split = noise(tmp_path / "other/packed", "one", random_votes(12, 0), "unknown")
    other = make_report(tmp_path / "other", [split], random_distances(["a", "b"], [split]))
    assert '<p class="banner" role="note">Judgments of unknown observers</p>' in other.index.read_text()


def test_the_page_has_its_sources(made):
    record = {"command": ["evaluate.py", "name=a b"], "git_commit": "abc", "seed": 3, "packages": {"torch": "9.9"}}
    (made.tables / "run.json").write_text(json.dumps(record))
    again(made)
    text = made.index.read_text()
    (split,) = made.splits.values()
    for wanted in ("evaluate.py &#39;name=a b&#39;", "<code>abc</code>", "torch 9.9", split.card["digest"][:12]):
        assert wanted in text


def test_the_table_library_is_a_classic_script():
    script = datatables_script()
    assert script.startswith("(() => {") and "window.DataTable = " in script
    assert "export{" not in script


def test_missing_jinja2_is_an_error_that_names_what_to_install(made, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(UserError, match=r"jinja2.* is not installed: pip install 'lpips_repro\[report\]'"):
        again(made)


@pytest.mark.parametrize("record", ["[]", "[" * 100_000, '{"packages": [5], "command": 5, "seed": []}'])
def test_a_damaged_record_of_a_run_is_left_out_of_the_sources(tmp_path, record):
    for name in ("run.json", "data.json"):
        (tmp_path / name).write_text(record)
    found = built_from(tmp_path, tmp_path, [], [])
    assert found.data == {} and all(one.command == "" for one in found.records)
