"""Another commit of this repository, checked out for a while."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.runs.signals import ended_by_sigterm

ROOT = Path(__file__).parents[2]


def find_commit(name: str) -> str:
    """The full hash of a commit of this repository, named by a hash, a branch, a tag or the like.

    Raises:
        UserError: if there is no such commit, no repository, or no git.
    """
    try:
        top = _git("rev-parse", "--show-toplevel")
    except FileNotFoundError:
        raise UserError(f"against={name}: git was not found: install git") from None
    except subprocess.CalledProcessError:
        top = ""
    if not top or Path(top).resolve() != ROOT.resolve():
        raise UserError(f"against={name}: {ROOT} is not a checkout with git: clone the repository")
    try:
        return _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except subprocess.CalledProcessError:
        raise UserError(f"against={name}: no such commit here: expected AGAINST=COMMIT as `git log` names it") from None


def current() -> str:
    """The full hash of the commit that is checked out, and whether its files were changed."""
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return _git("rev-parse", "HEAD") + (" with changes" if changed else "")


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit, a git worktree that is removed after the block, if SIGTERM ends it, too.

    Raises:
        UserError: if it cannot be checked out.
    """
    with ended_by_sigterm(), tempfile.TemporaryDirectory(prefix="lpips_repro-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder).resolve() / "tree"
        try:
            _add(tree, commit)
            yield tree
        finally:
            # Forced twice: one that was interrupted while it was made is locked.
            command = ["git", "-C", str(ROOT), "worktree", "remove", "--force", "--force", str(tree)]
            subprocess.run(command, capture_output=True, check=False)


def _add(tree: Path, commit: str) -> None:
    try:
        _git("-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", str(tree), commit)
    except subprocess.CalledProcessError as error:
        raise UserError(f"against={commit}: git worktree: {error.stderr.strip()}") from error


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
