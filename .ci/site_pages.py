"""A hook of MkDocs: pages of the site that are not in docs/, because GitHub shows them, too."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "data/README.md": "data-folder.md",
}
LINK = re.compile(r"(\]\(|src=\")(?!https?:|#)([^)#\s\"]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    root = Path(config.config_file_path).parent
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, content=(root / path).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links between files of the repository become links between pages."""
    uri = page.file.src_uri
    here = {uri: path for path, uri in PAGES.items()}.get(uri, f"docs/{uri}")

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), found[2]))
        path = PAGES.get(target, target.removeprefix("docs/"))
        return found[1] + posixpath.relpath(path, posixpath.dirname(uri) or ".")

    return LINK.sub(link, markdown)
