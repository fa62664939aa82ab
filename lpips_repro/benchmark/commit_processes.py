"""The processes that run the code of two trees: one process cannot import two versions of a package."""

import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lpips_repro.benchmark import commit_worker
from lpips_repro.benchmark.rates_of_commits import Sample
from lpips_repro.benchmark.timing import TURN_SECONDS
from lpips_repro.errors import UserError


class CannotRun(Exception):
    """The code of a tree raised an exception."""


class Process:
    """A process that runs the code of one tree: see `lpips_repro.benchmark.commit_worker`.

    Args:
        name: name of the tree, for messages.
        tree: folder that contains the package.
        inputs: folder of the inputs; the log of the process is written there, too.
        device: device that the process computes on.
    """

    def __init__(self, name: str, tree: Path, inputs: Path, device: torch.device):
        self.name, self.log = name, inputs / f"{name}.log"
        threads = str(torch.get_num_threads())
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", commit_worker.__file__, str(inputs), str(device), threads],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=tree,
                env=os.environ | {"TQDM_DISABLE": "1"},
            )

    def ask(self, request: str, argument: object) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            CannotRun: if the code of the tree raises an exception.
            UserError: if the process has ended.
        """
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({request: argument}), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline() if self.process.stdout else ""
        if not answer:
            *_, last = ["", *self.log.read_text().splitlines()]
            raise UserError(f"against: {self.name}: its process ended with exit status {self.process.wait()}: {last}")
        answer = json.loads(answer)
        if "error" in answer:
            raise CannotRun(f"{self.name}: {answer['error']}")
        return answer

    def stop(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def processes(trees: Mapping[str, Path], inputs: Path, device: torch.device) -> Iterator[list[Process]]:
    """Start a process for each tree. They are killed after the block.

    Raises:
        UserError: if the package of a tree cannot be imported.
    """
    started: list[Process] = []
    try:
        for name, tree in trees.items():
            started.append(Process(name, tree, inputs, device))
        for process, tree in zip(started, trees.values(), strict=True):
            try:
                process.ask("import", str(tree))
            except CannotRun as error:
                raise UserError(f"against: {error}: its code cannot be measured: choose a newer commit") from None
        yield started
    finally:
        for process in started:
            process.stop()


def measure(sample: Sample, pair: list[Process], rounds: Iterable[int], first: int) -> None:
    """Measure a case in two processes that alternate, and add the results to its sample.

    Args:
        sample: sample of the case; it is changed.
        pair: the processes of this tree and of the other one.
        rounds: numbers of the rounds; each process has one turn per round.
        first: even if this tree begins, odd if the other one does. The order is reversed after every round.
    """
    case = {key: asdict(sample.case)[key] for key in ("task", "net", "mode", "precision")}
    try:
        built = _both(pair, first, "build", case)
        sample.compare(*(answer["values"] for answer in built))
        calls = max(1, math.ceil(TURN_SECONDS / max(answer["seconds"] for answer in built)))
        turns = [_both(pair, first + number, "time", calls) for number in rounds]
        sample.turns.append([(now["seconds"], then["seconds"]) for now, then in turns])
    except CannotRun as error:
        sample.note = f"not run: {error}"


def _both(pair: list[Process], first: int, request: str, argument: object) -> tuple[dict, dict]:
    """The answers of both processes, asked in sequence; the second one is asked first if `first` is odd."""
    order = (0, 1) if first % 2 == 0 else (1, 0)
    answers = {place: pair[place].ask(request, argument) for place in order}
    return answers[0], answers[1]
