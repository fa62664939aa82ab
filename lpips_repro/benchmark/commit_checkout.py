"""A temporary checkout of another commit of this repository."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.runs.signals import ended_by_sigterm

ROOT = Path(__file__).parents[2]


def find_commit(name: str) -> str:
    """Return the full hash of a commit of this repository; its name may be a hash, a branch or a tag.

    Raises:
        UserError: if the commit does not exist, this is not a repository, or git is not installed.
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
    """Return the full hash of the commit that is checked out, followed by " with changes" if files differ from it."""
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return _git("rev-parse", "HEAD") + (" with changes" if changed else "")


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary git worktree, which is removed after the block, also after SIGTERM.

    Raises:
        UserError: if the commit cannot be checked out.
    """
    with ended_by_sigterm(), tempfile.TemporaryDirectory(prefix="lpips_repro-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder).resolve() / "tree"
        try:
            _add(tree, commit)
            yield tree
        finally:
            # Twice --force: a worktree whose creation was interrupted is locked.
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
