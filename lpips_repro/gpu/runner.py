"""Running checks one after the other, and reporting their results."""

import contextlib
import functools
import io
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from lpips_repro.files import write_csv

OK, FAILED, NOT_RUN = "ok", "FAILED", "not run"


class NotRun(Exception):
    """A check cannot be run on this machine. The message is the reason."""


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        group, name: its group and name.
        run: raises an exception if the check fails, or `NotRun`; returns a short text of what was measured.
    """

    group: str
    name: str
    run: Callable[[torch.device], str | None]


@dataclass
class Result:
    """The result of a check; detail: what was measured, or the reason of a failure."""

    group: str
    name: str
    status: str
    seconds: float
    detail: str


def results_of(groups: Mapping[str, Callable[[], Iterable[Check]]], device: torch.device) -> Iterator[Result]:
    """Run the checks of all groups, print a line for each, and yield the results.

    Args:
        groups: functions that list the checks of a group, by name. If one fails, its failure is the group's only
            result.
        device: the device that they run on.
    """
    for group, list_checks in groups.items():
        try:
            listed = list(list_checks())
        except Exception as error:
            listed = [Check(group, "all", functools.partial(_raise, error))]
        for check in listed:
            print(f"{check.group:<12} {check.name:<32} ", end="", flush=True)
            result, output = _result(check, device)
            print(f"{result.status:<8}{result.seconds:>6.1f} s  {result.detail}\n{output}", end="", flush=True)
            yield result


def _result(check: Check, device: torch.device) -> tuple[Result, str]:
    """The result of a check, and, if it failed, its output and traceback."""
    said, start, trace = io.StringIO(), time.monotonic(), ""
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status, detail = OK, check.run(device) or ""
        except NotRun as error:
            status, detail = NOT_RUN, str(error)
        except Exception as error:
            if package := _missing_package(error):
                status, detail = NOT_RUN, f"{package} is not installed"
            else:
                status, detail = FAILED, f"{type(error).__name__}: {error}".partition("\n")[0]
                trace = traceback.format_exc()
    torch.compiler.reset()  # torch keeps at most eight compilations of a function
    result = Result(check.group, check.name, status, round(time.monotonic() - start, 1), detail)
    return result, said.getvalue() + trace if status == FAILED else ""


def _raise(error: Exception, device: torch.device) -> None:
    raise error


def _missing_package(error: Exception) -> str | None:
    """The missing third-party package that causes an error, or None."""
    package = (getattr(error, "name", None) or "").partition(".")[0]
    return package if isinstance(error, ModuleNotFoundError) and package != __package__.partition(".")[0] else None


def summary(results: Sequence[Result]) -> str:
    """A table of the groups, and each check that is not ok with its reason."""
    lines = [f"{'':<12}{OK:>8}{FAILED:>8}{NOT_RUN:>9}{'seconds':>9}"]
    for group in dict.fromkeys(result.group for result in results):
        of_group = [result for result in results if result.group == group]
        ok, failed, not_run = (sum(r.status == status for r in of_group) for status in (OK, FAILED, NOT_RUN))
        seconds = sum(result.seconds for result in of_group)
        lines.append(f"{group:<12}{ok:>8}{failed:>8}{not_run:>9}{seconds:>9.1f}")
    for status in (NOT_RUN, FAILED):
        found = [result for result in results if result.status == status]
        lines += [f"{status}: {' '.join(filter(None, (r.group, r.name)))}: {r.detail}" for r in found]
    return "\n".join(lines)


def write_results(path: Path, results: Sequence[Result], card: Mapping[str, str]) -> None:
    """Write results to a CSV, with the card and versions in each row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [*(field.name for field in fields(Result)), *card]
    write_csv(path, ({**asdict(result), **card} for result in results), columns)
