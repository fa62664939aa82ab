"""What a command runs with, and how it ends."""

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from lpips_repro.cli import options
from lpips_repro.cli.failures import failures_of, lines_of
from lpips_repro.cli.matrix import LPIPSMatrix
from lpips_repro.cli.methods import ReadyMethod, find_methods, prepare
from lpips_repro.cli.names import DEFAULT
from lpips_repro.cli.output import formatted, records_of
from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.printing import INTERRUPTED, one_line, print_output, write_output
from lpips_repro.cli.reading import Reading
from lpips_repro.cli.score import Scored, Scorer
from lpips_repro.config import Device
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.images import color_of
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.progress import Progress
from lpips_repro.runs.device import choose_device
from lpips_repro.versions import OWN


class Session:
    """What a command runs with: methods that are ready, the device, and how files are read.

    Args: as the options of the command.

    Attributes:
        missing: why a method could not be loaded, by label; the others go on.

    Raises:
        UserError: for a name or an option that there is not, or `weights` that are not the network's.
    """

    def __init__(
        self,
        names: Sequence[str] | None,
        weights: Path | None,
        device: Device,
        resize: str = "no",
        background: str = "white",
        quiet: bool = False,
        batch_size: int | None = None,
    ):
        self.quiet, self.batch_size, self.interrupted = quiet, batch_size, False
        logging.basicConfig(format="%(message)s", stream=sys.stderr)
        logging.getLogger(OWN).setLevel(logging.WARNING if quiet else logging.INFO)  # not of all libraries
        color_of(background)  # raises an error now rather than for every image
        self.reading = Reading(background, options.size_of(resize))
        self.device = choose_device(device)
        with _only_results_on_stdout():
            chosen = find_methods(names or [DEFAULT], weights)
            self.methods, self.missing = prepare(chosen, Engine(self.device))
        if weights is not None and self.missing:
            raise UserError("; ".join(f"{label}: {why}" for label, why in self.missing.items()))

    @property
    def metric(self) -> LPIPS:
        """The network that the only method is; the command ends with status 1 if it could not be loaded.

        Raises:
            UserError: if it is none.
        """
        for label, why in self.missing.items():
            self.failed(f"{label}: {why}")
            raise typer.Exit(1)
        (method,) = self.methods
        if method.distance.lpips is None:
            raise UserError(f"{method.label}: not a network: choose one, such as alex")
        return method.distance.lpips[0]

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """The distances of pairs, with progress; those that are done if Ctrl-C interrupts the work."""
        scored = [Scored(pair) for pair in pairs] if self.methods else []
        with self._progress(len(pairs), "pair") as progress:
            Scorer(self.methods, self.device, self.reading, self.batch_size).fill(scored, progress)
        return scored

    def matrix(self, refs: Sequence[Path], images: Sequence[Path]) -> list[Scored]:
        """The distances of all images from all references, likewise."""
        if self.reading.resize == "ref":
            raise UserError("--resize ref: a matrix has no single reference: use --resize HxW")
        found: dict[Pair, Scored] = {}
        for metric, methods in self._by_pass().items():
            if metric is None:
                part = [Scored(Pair(ref, image)) for ref in refs for image in images]
                with self._progress(len(part), "pair") as progress:
                    Scorer(methods, self.device, self.reading, self.batch_size).fill(part, progress)
            else:
                heads = {method.label: method.distance.lpips[1] for method in methods if method.distance.lpips}
                matrix = LPIPSMatrix(metric, heads, refs, images, self.device, self.reading)
                with self._progress(len(refs) + (0 if images is refs else len(images)), "image") as progress:
                    matrix.fill(progress)
                part = [one for row in matrix.scored for one in row]
            for one in part:
                known = found.setdefault(one.pair, one)
                known.size = one.size if one.distances else known.size
                known.distances |= one.distances
                known.values |= one.values
                known.faults |= one.faults
            if self.interrupted:
                break
        return list(found.values())

    def finish(
        self, scored: Sequence[Scored], output: Path | None, style: options.Format | None, *, square: bool = False
    ) -> None:
        """Write the results and name what failed. The exit status is 1 if anything did, and 130 after Ctrl-C."""
        records, failures = records_of(scored, self.methods, self.reading), failures_of(scored, self.missing)
        style = options.style_of(style, output)
        text = formatted(records, failures, style, square=square, complete=not self.interrupted)
        if output is None:
            print_output(text)
        else:
            write_output(output, text)
            self.note(f"written: {output}")
        for line in lines_of(scored, self.missing):
            self.failed(line)
        if self.interrupted:
            done = sum(bool(one.distances or one.faults) for one in scored)
            print(f"{done} of {len(scored)} pairs are done", file=sys.stderr)
            raise typer.Exit(INTERRUPTED)
        if failures:
            raise typer.Exit(1)

    def note(self, text: str) -> None:
        """Say something on standard error, unless the user wants quiet."""
        if not self.quiet:
            print(one_line(text), file=sys.stderr)

    def failed(self, reason: str) -> None:
        """Say on standard error what failed."""
        print(f"failed: {one_line(reason)}", file=sys.stderr)

    @contextlib.contextmanager
    def _progress(self, total: int, unit: str) -> Iterator[Progress]:
        """Progress of work that Ctrl-C interrupts: what is done stays."""
        disable = True if self.quiet else None
        try:
            with (
                _only_results_on_stdout(),
                Progress(total=total, desc="distances", unit=unit, leave=False, disable=disable) as progress,
            ):
                yield progress
        except KeyboardInterrupt:
            self.interrupted = True

    def _by_pass(self) -> dict[LPIPS | None, list[ReadyMethod]]:
        """The methods by the metric that they share a pass through a backbone with; None for those without one."""
        groups: dict[LPIPS | None, list[ReadyMethod]] = {}
        for method in self.methods:
            groups.setdefault(method.distance.lpips[0] if method.distance.lpips else None, []).append(method)
        return groups


def _only_results_on_stdout() -> contextlib.AbstractContextManager:
    """What a metric of others prints goes to standard error, where it is no line of a CSV or JSON file."""
    return contextlib.redirect_stdout(sys.stderr)
