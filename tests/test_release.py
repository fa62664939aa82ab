"""The release workflow: a tag publishes only the version that it names."""

import os
import subprocess
import sys

import pytest
import yaml

import lpips_repro
from tests.compose import CONFIGS

ROOT = CONFIGS.parent


def workflow() -> dict:
    return yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())


@pytest.mark.parametrize(("tag", "status"), [(f"v{lpips_repro.__version__}", 0), ("v9.9.9", 1)])
def test_a_tag_that_differs_from_the_version_is_refused(tag, status, tmp_path):
    (script,) = (
        step["run"] for step in workflow()["jobs"]["build"]["steps"] if "GITHUB_REF_NAME" in step.get("run", "")
    )
    (tmp_path / "python").symlink_to(sys.executable)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REF_NAME": tag, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-e", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert status == 0 or f"tag v9.9.9: expected v{lpips_repro.__version__}" in done.stderr


def test_only_the_job_that_publishes_gets_a_token_and_it_waits_for_the_build():
    jobs = workflow()["jobs"]
    assert workflow()["permissions"] == {"contents": "read"} and "permissions" not in jobs["build"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"} and jobs["publish"]["needs"] == "build"
