"""Python files outside the package that register something. `module` in the settings names them."""

import importlib.util
import sys
import traceback
from pathlib import Path

from lpips_repro.errors import Terminated, UserError


def import_file(path: Path, what: str) -> None:
    """Import a Python file outside the package, unless it is already imported.

    Args:
        path: the file.
        what: what it registers, such as "network" or "dataset", for messages.

    Raises:
        UserError: if the file does not exist or cannot be imported.
    """
    path = path.absolute()
    module_name = f"file:{path}"  # does not begin as names of this package do, which other code relies on
    if module_name in sys.modules:
        return
    if not path.is_file():
        raise UserError(f"{path}: no such file: set `module` of a {what} to the Python file that registers it")
    module_spec = importlib.util.spec_from_file_location(module_name, path)
    if module_spec is None or module_spec.loader is None:
        raise UserError(f"{path}: not the name of a Python file: rename it to {path.stem}.py")
    module = sys.modules[module_name] = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
    except (UserError, Terminated):  # such as a name that is already registered
        del sys.modules[module_name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        where = f"{path}, line {line}" if line else str(path)
        raise UserError(f"{where}: {type(error).__name__}: {error}: `module` of a {what} must import") from error
