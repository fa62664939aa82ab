"""The table library of the page: DataTables, from the wheel of itables, with its license."""

import importlib.metadata
import importlib.resources
import re

from lpips_repro.errors import UserError

INSTALL = "pip install 'lpips_repro[report]'"
# The last statement of the module, which a page from a folder cannot load as one.
EXPORT = re.compile(r"export\s*\{([^}]*)\};?")


class NotInstalledError(UserError):
    """A library that makes the page is missing."""


def datatables_script() -> str:
    """The bundle as a classic script that defines `DataTable`.

    Raises:
        NotInstalledError: if itables is not installed.
        UserError: if its bundle has another form.
    """
    try:
        file = importlib.resources.files("itables") / "html" / "dt_bundle.js"
        text = file.read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise NotInstalledError(f"itables, which has the table of the page, is not installed: {INSTALL}") from error
    found = [*EXPORT.finditer(text)]
    names = re.search(r"([\w$]+) as default\b", found[-1][1]) if found else None
    if names is None:
        raise UserError(
            f"itables {_version()}: its bundle has no default export: install the version in requirements.lock"
        )
    code = f"{text[: found[-1].start()]}window.DataTable = {names[1]};{text[found[-1].end() :]}"
    return f"(() => {{\n{code}\n}})();\n"


def license_text() -> str:
    """The license of itables, and where those of the libraries in its bundle are."""
    head = (
        f"dt_bundle.js is from itables {_version()}: DataTables and the libraries that it needs. Their own notices are"
        " in the file.\n\n"
    )
    files = importlib.metadata.files("itables") or []
    texts = [file.read_text() for file in files if file.name.upper().startswith("LICENSE")]
    return head + "\n".join(texts)


def _version() -> str:
    return importlib.metadata.version("itables")
