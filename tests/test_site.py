"""`make docs`: a site that needs no other host."""

import re

import pytest

from tests.compose import CONFIGS

ROOT = CONFIGS.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built as by `make docs`: a warning, such as a dead link, is an error."""
    pytest.importorskip("material", reason="mkdocs-material is a tool: not among the oldest versions")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder))
    config.plugins.run_event("startup", command="build", dirty=False)
    build(config)
    return folder


@pytest.mark.slow
def test_every_page_is_in_the_site_and_loads_nothing_from_another_host(site):
    names = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}
    wanted = {str(name).replace("README", "index") for name in names}
    wanted |= {"index.html", "changelog.html", "contributing.html", "data-folder.html"}
    assert wanted == {str(page.relative_to(site)) for page in site.rglob("*.html")} - {"404.html"}
    other = r"<(?:script|img|iframe)\b[^>]*\bsrc=\"https?:|<link\b[^>]*\brel=\"stylesheet\"[^>]*\bhref=\"https?:"
    for file in site.rglob("*.html"):
        assert not re.search(other, file.read_text()), file
    for file in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?https?:", file.read_text()), file


@pytest.mark.slow
def test_the_reference_has_the_documentation_of_every_object_that_it_names(site):
    for page in (ROOT / "docs/api").glob("*.md"):
        html = (site / "api" / f"{page.stem}.html").read_text()
        for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE):
            assert f'id="{name}"' in html, name


@pytest.mark.slow
def test_links_of_the_readme_lead_to_pages_of_the_site(site):
    html = (site / "index.html").read_text()
    assert 'href="metric.html"' in html and 'href="docs/' not in html
