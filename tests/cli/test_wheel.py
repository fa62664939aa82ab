"""The wheel contains everything that the command and Python need outside of the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_PYTHON = """
import sys
import lpips_repro
from lpips_repro import LPIPS, load_image

assert "lpips" not in sys.modules
print(lpips_repro.__file__)
print(LPIPS("alex")(load_image(sys.argv[1]), load_image(sys.argv[2])).item())
assert "lpips" not in sys.modules, "imported for its data"
"""


def run(*words, **settings):
    return subprocess.run([*map(str, words)], check=True, capture_output=True, text=True, **settings).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an environment with the wheel and with the other packages of the current environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("lpips_repro", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "env")
    run(*pip, "--python", folder / "env", "install", "--no-deps", "--no-index", wheel)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env"


@pytest.mark.slow
def test_the_installed_command_and_package_compute_alex(installed, shared, imagenet, tmp_path):
    images = [shared / "examples" / f"{name}.png" for name in ("ex_ref", "ex_p0")]
    settings = {"cwd": tmp_path, "env": {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}}
    table = run(installed / "bin" / "lpips-repro", "distance", *images, "-m", "alex", "-q", **settings)
    assert float(table.split()[-1]) == pytest.approx(0.721881, abs=1e-5)
    place, value = run(installed / "bin" / "python", "-c", OF_PYTHON, *images, **settings).splitlines()
    assert Path(place).is_relative_to(installed)
    assert float(value) == pytest.approx(0.721881, abs=1e-5)
    assert "fsimc" in run(installed / "bin" / "lpips-repro", "metrics", **settings)


@pytest.mark.slow
def test_the_wheel_has_all_settings(installed):
    (package,) = installed.glob("lib/python*/site-packages/lpips_repro")
    wanted = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}
    assert {path.relative_to(package / "configs") for path in (package / "configs").rglob("*.yaml")} == wanted
    assert (package / "py.typed").is_file()
