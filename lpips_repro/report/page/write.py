"""The files of the page: everything new first, then `index.html`, and what it does not need is removed last.

So the page that is there stays whole until the new one takes its place. What it loads is in a folder with a digest of
all of it in the name, and images are in files with a digest of what they show, which later pages use again.
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
    """What a page shows.

    Attributes:
        data: name of the data; observers: who judged: "human", "simulated" or "unknown".
        summaries: the tables; no_summaries: why there are none.
        explorer: None if there are no examples; no_explorer: why; compared: places of the methods that it begins with.
        pairs: the differences by column; no_pairs: why there are none.
        figures: title by name of the files; left_out: reason by name.
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
    """Write a page and all that it loads into the folder of a report; returns `index.html`.

    Raises:
        NotInstalledError: if jinja2 or itables is missing.
        UserError: if something cannot be written.
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
        said = f"{error.filename or folder}: {error.strerror or error}"
        raise UserError(
            f"{said}: the page that was there is unchanged: fix that and run `make report` again"
        ) from error
    return index


def _template() -> Any:
    """What renders the page; names in it are text, whatever characters they have."""
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise NotInstalledError(f"jinja2, which makes the page, is not installed: {INSTALL}") from error
    loader = jinja2.PackageLoader("lpips_repro.report.page")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["code"] = lambda text: _with_code(jinja2.filters.escape(text))
    return environment.get_template("index.html.j2").render


def _with_code(text: Any) -> Any:
    """A message, escaped; what is between backticks is code."""
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
    """This command with its variables of make, and the other settings that it was given, but for named examples."""
    given = dict(word.split("=", 1) for word in hide_arguments(sys.argv)[1:] if "=" in word)
    names = {"data": "DATA", "data.root": "DATA_ROOT"}
    variables = [shlex.quote(f"{name}={given.pop(key)}") for key, name in names.items() if key in given]
    given.pop("report.examples", None)
    return " ".join(("make report", *variables)), shlex.join(f"{key}={value}" for key, value in given.items())


def _assets(folder: Path, page: Page, datatables: str) -> dict[str, str]:
    """The files that the page loads, by name."""
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
    """Write files into a folder with their digest in its name, all or none; returns the name."""
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
