import os
import shutil
import signal
import subprocess

import pytest

from lpips_repro.benchmark import commit_checkout as module
from lpips_repro.benchmark.commit_checkout import checkout, current, find_commit
from lpips_repro.errors import UserError

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="no git")


def git(folder, *arguments: str) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", folder, *settings, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of two commits, in the place of this one."""
    root = tmp_path / "root"
    root.mkdir()
    git(root, "init", "--quiet")
    for text in ("old", "new"):
        (root / "file").write_text(text)
        git(root, "add", ".")
        git(root, "commit", "--quiet", "--message", text)
    monkeypatch.setattr(module, "ROOT", root)
    return root


def interrupt():
    raise KeyboardInterrupt


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("end", "error"), [(interrupt, KeyboardInterrupt), (terminate, SystemExit)])
def test_a_commit_is_checked_out_and_leaves_nothing_behind(repository, end, error):
    with pytest.raises(error), checkout(find_commit("HEAD~1")) as tree:
        assert (tree / "file").read_text() == "old"
        (tree / "__pycache__").mkdir()
        assert git(repository, "worktree", "list").count("\n") == 1
        end()
    assert not tree.exists() and git(repository, "worktree", "list").count("\n") == 0
    assert (repository / "file").read_text() == "new"


def test_commits_are_named_by_their_full_hash(repository):
    head = git(repository, "rev-parse", "HEAD")
    assert find_commit(head[:7]) == current() == head
    (repository / "file").write_text("newer")
    assert current() == f"{head} with changes"


@pytest.mark.parametrize("name", ["nosuch", "HEAD:file", "--all", ""])
def test_an_unknown_commit_is_one_clear_error(repository, name):
    with pytest.raises(UserError, match=f"^against={name}: no such commit here"):
        find_commit(name)


def test_a_tree_without_git_is_one_clear_error(repository, monkeypatch):
    inside = repository / "inside"  # a folder of another repository
    inside.mkdir()
    monkeypatch.setattr(module, "ROOT", inside)
    with pytest.raises(UserError, match=r"inside is not a checkout with git: clone the repository"):
        find_commit("HEAD")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="git was not found"):
        find_commit("HEAD")
