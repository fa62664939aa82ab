"""DataTables, the library for tables of the page, with its license. It is part of the package itables."""

import importlib.metadata
import importlib.resources
import re

from lpips_repro.errors import UserError

INSTALL = "pip install 'lpips_repro[report]'"
# The last statement of the JavaScript module. A page that is opened from a folder cannot load modules.
EXPORT = re.compile(r"export\s*\{([^}]*)\};?")


class NotInstalledError(UserError):
    """A package that the page needs is not installed."""


def datatables_script() -> str:
    """Return the bundle as a classic script that defines `DataTable`.

    Raises:
        NotInstalledError: if itables is not installed.
        UserError: if its bundle has no default export.
    """
    try:
        file = importlib.resources.files("itables") / "html" / "dt_bundle.js"
        text = file.read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise NotInstalledError(f"itables, which sorts the tables of the page, is not installed: {INSTALL}") from error
    found = [*EXPORT.finditer(text)]
    names = re.search(r"([\w$]+) as default\b", found[-1][1]) if found else None
    if names is None:
        raise UserError(
            f"itables {_version()}: its bundle has no default export: install the version in requirements.lock"
        )
    code = f"{text[: found[-1].start()]}window.DataTable = {names[1]};{text[found[-1].end() :]}"
    return f"(() => {{\n{code}\n}})();\n"


def license_text() -> str:
    """Return the license of itables, with a note on the libraries in its bundle."""
    head = (
        f"dt_bundle.js is from itables {_version()}: DataTables and the libraries that it needs. Their own notices are"
        " in the file.\n\n"
    )
    files = importlib.metadata.files("itables") or []
    texts = [file.read_text() for file in files if file.name.upper().startswith("LICENSE")]
    return head + "\n".join(texts)


def _version() -> str:
    return importlib.metadata.version("itables")
