"""Writing the files of the page: new files first, then `index.html`; files that it does not need are removed last.

An earlier page stays complete until the new one replaces it. Scripts and styles are in a folder whose name has a digest
of its content. The names of image files have a digest of their content, so that later pages can use them again.
"""

import datetime
import hashlib
import importlib.resources
import json
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpips_repro.config.secrets import hide_arguments
from lpips_repro.errors import UserError
from lpips_repro.evaluation.tables.writer import judged_by
from lpips_repro.files import sync, write_whole
from lpips_repro.files.locks import exclusive
from lpips_repro.report.figures.style import SIMULATED
from lpips_repro.report.page.built_from import BuiltFrom
from lpips_repro.report.page.explorer import FOLDER, Explorer, as_script
from lpips_repro.report.page.pairs import PairColumn
from lpips_repro.report.page.summary import Summary
from lpips_repro.report.page.table_library import INSTALL, NotInstalledError, datatables_script, license_text

ASSETS = re.compile(r"page-[0-9a-f]{12}")
LEFTOVER = re.compile(r"\.page-new")
VIEWS = {
    "summary": "Summary",
    "differences": "Differences",
    "figures": "Figures",
    "examples": "Examples",
    "built-from": "Built from",
}
SHOWS = {
    "differ": "A and B choose different images",
    "only-a-against": "A against the votes, B with them",
    "only-b-against": "B against the votes, A with them",
    "both-against": "both against the votes",
    "a-against": "A against the votes",
    "b-against": "B against the votes",
    "all": "all examples",
}
ORDERS = {"strength": "clearest first", "margin": "largest margin first", "index": "by index"}
SCRIPTS = (
    "report",
    "page",
    "dt_bundle",
    "filter",
    "summary",
    "differences",
    "explorer",
    "start",
)  # in the order in which they run


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Attributes:
        data: name of the data; observers: "human", "simulated" or "unknown".
        summaries: the tables; no_summaries: why there are none.
        explorer: the explorer of examples, or None; no_explorer: why there is none.
        compared: indices of the two methods that are selected at first.
        pairs: differences by column; no_pairs: why there are none.
        figures: titles by name; left_out: reasons for missing figures by name.
        built: sources of the page.
    """

    data: str
    observers: str
    summaries: list[Summary]
    no_summaries: str
    explorer: Explorer | None
    no_explorer: str
    compared: tuple[int, int]
    pairs: list[PairColumn]
    no_pairs: str
    figures: Mapping[str, str]
    left_out: Mapping[str, str]
    built: BuiltFrom


def write_page(folder: Path, page: Page) -> Path:
    """Write a page and its files to the folder of a report, and return the path of `index.html`.

    Raises:
        NotInstalledError: if jinja2 or itables is not installed.
        UserError: if a file cannot be written; an earlier page is then unchanged.
    """
    render = _template()
    script = datatables_script()
    try:
        with exclusive(folder, leftovers=LEFTOVER):
            if page.explorer:
                page.explorer.write(folder)
            assets = _write_assets(folder, _assets(folder, page, script))
            index = folder / "index.html"
            write_whole(index, render(_context(page, assets)))
            _remove_unused(folder, assets, page.explorer)
    except OSError as error:
        reason = f"{error.filename or folder}: {error.strerror or error}"
        raise UserError(f"{reason}: the earlier page is unchanged: fix this and run `make report` again") from error
    return index


def _template() -> Any:
    """The function that renders the page; all names are escaped."""
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise NotInstalledError(f"jinja2, which renders the page, is not installed: {INSTALL}") from error
    loader = jinja2.PackageLoader("lpips_repro.report.page")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["code"] = lambda text: _with_code(jinja2.filters.escape(text))
    return environment.get_template("index.html.j2").render


def _with_code(text: Any) -> Any:
    """An escaped message with the text between backticks as code."""
    return type(text)(re.sub("`([^`]+)`", r"<code>\1</code>", str(text)))


def _context(page: Page, assets: str) -> dict[str, Any]:
    banner = {"simulated": SIMULATED, "unknown": "Judgments of unknown observers"}.get(page.observers, "")
    command, args = _command()
    return {
        **{key: getattr(page, key) for key in page.__dataclass_fields__},
        "title": f"Report on {page.data}",
        "banner": banner,
        "judged": judged_by(page.observers) if page.observers else "",
        "assets": assets,
        "views": VIEWS,
        "shows": SHOWS,
        "orders": ORDERS,
        "scripts": SCRIPTS,
        "command": command,
        "args": args,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _command() -> tuple[str, str]:
    """This command with its variables of make, and its other settings except the named examples."""
    given = dict(word.split("=", 1) for word in hide_arguments(sys.argv)[1:] if "=" in word)
    names = {"data": "DATA", "data.root": "DATA_ROOT"}
    variables = [shlex.quote(f"{name}={given.pop(key)}") for key, name in names.items() if key in given]
    given.pop("report.examples", None)
    return " ".join(("make report", *variables)), shlex.join(f"{key}={value}" for key, value in given.items())


def _assets(folder: Path, page: Page, datatables: str) -> dict[str, str]:
    """The contents of the files that the page loads, by name."""
    static = importlib.resources.files("lpips_repro.report.page") / "static"
    files = {file.name: file.read_text(encoding="utf-8") for file in static.iterdir() if file.is_file()}
    tables = {one.name: {"csv": one.csv, "records": one.records} for one in page.summaries}
    content = {"tables": tables, "explorer": page.explorer.settings(folder) if page.explorer else None}
    files["page.js"] = as_script("page", content)
    matrices = {column.key: column.matrix for column in page.pairs}
    files["pairs.js"] = as_script("pairs", {"columns": matrices})
    for name, numbers in (page.explorer.numbers() if page.explorer else {}).items():
        files[f"{name}.js"] = as_script(name, numbers)
    return {**files, "dt_bundle.js": datatables, "LICENSE-itables.txt": license_text()}


def _write_assets(folder: Path, files: Mapping[str, str]) -> str:
    """Write files to a folder whose name has their digest, all or none; returns the name."""
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"page-{digest}"
    if path.is_dir():
        return path.name
    new = folder / ".page-new"
    new.mkdir()
    for name, text in files.items():
        (new / name).write_text(text, encoding="utf-8", newline="")
        sync(new / name)
    new.rename(path)
    return path.name


def _remove_unused(folder: Path, assets: str, explorer: Explorer | None) -> None:
    """Remove the files of earlier pages that this one does not load."""
    for path in folder.iterdir():
        if ASSETS.fullmatch(path.name) and path.name != assets:
            shutil.rmtree(path)
    used = {sheet.name for sheet in explorer.files} if explorer else set()
    images = folder / FOLDER
    for path in images.iterdir() if images.is_dir() else ():
        if re.fullmatch(r"[0-9a-f]{16}\.(webp|json)", path.name) and path.stem not in used:
            path.unlink()
