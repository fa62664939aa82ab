"""The files of the page in a wheel."""

import fnmatch
from pathlib import Path

import setuptools

import lpips_repro.report.page
from tests.compose import CONFIGS

PAGE = Path(lpips_repro.report.page.__file__).parent


def test_a_wheel_has_every_template_script_and_style(monkeypatch):
    found = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: found.update(arguments))
    monkeypatch.chdir(CONFIGS.parent)
    exec(compile(Path("setup.py").read_text(), "setup.py", "exec"), {})
    patterns = found["package_data"]["lpips_repro.report.page"]
    files = [path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*") if path.suffix in {".j2", ".js", ".css"}]
    assert len(files) > 10
    assert [file for file in files if not any(fnmatch.fnmatch(file, pattern) for pattern in patterns)] == []
    assert "lpips_repro.report.page" in found["packages"]
