"""The session of a command: its methods, its device, its work and its end."""

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
from lpips_repro.cli.printing import print_output, write_output
from lpips_repro.cli.reading import Reading
from lpips_repro.cli.score import Scored, Scorer
from lpips_repro.cli.stopping import INTERRUPTED, TERMINATED
from lpips_repro.config import Device
from lpips_repro.errors import Terminated, UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.images import color_of
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.progress import Progress
from lpips_repro.quoting import one_line
from lpips_repro.runs.device import choose_device
from lpips_repro.versions import OWN

MOST_PAIRS = 4_000_000  # of a matrix, with about 2 KB each


class Session:
    """The loaded methods of a command, its device, and how it reads files.

    Args: the options of the command.

    Attributes:
        methods: the methods that were loaded.
        missing: by label, why the other methods could not be loaded.
        interrupted: the exit status if Ctrl-C or SIGTERM ended the work, else 0.

    Raises:
        UserError: if a name or an option is invalid, or `weights` do not fit the network.
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
        self.quiet, self.batch_size, self.interrupted = quiet, batch_size, 0
        logging.basicConfig(format="%(message)s", stream=sys.stderr)
        logging.getLogger(OWN).setLevel(logging.WARNING if quiet else logging.INFO)  # only of this package
        color_of(background)  # an invalid color is one error, and not one per image
        self.reading = Reading(background, options.size_of(resize))
        self.device = choose_device(device)
        with _only_results_on_stdout():
            chosen = find_methods(names or [DEFAULT], weights)
            self.methods, self.missing = prepare(chosen, Engine(self.device))
        if weights is not None and self.missing:
            raise UserError("; ".join(f"{label}: {why}" for label, why in self.missing.items()))

    @property
    def metric(self) -> LPIPS:
        """The metric of the only method.

        Raises:
            UserError: if the method is not a network.
            typer.Exit: with status 1 if it could not be loaded.
        """
        for label, why in self.missing.items():
            self.failed(f"{label}: {why}")
            raise typer.Exit(1)
        (method,) = self.methods
        if method.distance.lpips is None:
            raise UserError(f"{method.label}: not a network: choose one, such as alex")
        return method.distance.lpips[0]

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """Return the pairs with their distances. After Ctrl-C or SIGTERM, those not yet compared have none."""
        scored = [Scored(pair) for pair in pairs] if self.methods else []
        with self._progress(len(pairs), "pair") as progress:
            Scorer(self.methods, self.device, self.reading, self.batch_size).fill(scored, progress)
        return scored

    def matrix(self, refs: Sequence[Path], images: Sequence[Path]) -> list[Scored]:
        """Return all pairs of a reference and an image with their distances, as `score` does.

        Raises:
            UserError: if images are to be scaled to their reference, or if there are too many pairs.
        """
        if self.reading.resize == "ref":
            raise UserError("--resize ref: a matrix has no single reference: use --resize HxW")
        if (count := len(refs) * len(images)) > MOST_PAIRS:
            raise UserError(
                f"{len(refs)} x {len(images)} images: {count} pairs: expected at most {MOST_PAIRS}, whose results take"
                " about 8 GB of memory: compare parts of the folder"
            )
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
        """Write the results, and print what failed.

        Args:
            scored: the pairs.
            output: file of the results; None for standard output.
            style: format of the results; by default that of the file.
            square: whether tables and CSV have a row per reference.

        Raises:
            typer.Exit: with status 1 if a pair or a method failed, 130 after Ctrl-C, and 143 after SIGTERM.
        """
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
            raise typer.Exit(self.interrupted)
        if failures:
            raise typer.Exit(1)

    def note(self, text: str) -> None:
        """Print a line to standard error, unless the session is quiet."""
        if not self.quiet:
            print(one_line(text), file=sys.stderr)

    def failed(self, reason: str) -> None:
        """Print a failure to standard error."""
        print(f"failed: {one_line(reason)}", file=sys.stderr)

    @contextlib.contextmanager
    def _progress(self, total: int, unit: str) -> Iterator[Progress]:
        """Progress of work that Ctrl-C or SIGTERM may interrupt without the loss of results."""
        disable = True if self.quiet else None
        try:
            with (
                _only_results_on_stdout(),
                Progress(total=total, desc="distances", unit=unit, leave=False, disable=disable) as progress,
            ):
                yield progress
        except KeyboardInterrupt:
            self.interrupted = INTERRUPTED
        except Terminated:
            self.interrupted = TERMINATED

    def _by_pass(self) -> dict[LPIPS | None, list[ReadyMethod]]:
        """The methods by the metric whose backbone pass they share; None for those without a backbone."""
        groups: dict[LPIPS | None, list[ReadyMethod]] = {}
        for method in self.methods:
            groups.setdefault(method.distance.lpips[0] if method.distance.lpips else None, []).append(method)
        return groups


def _only_results_on_stdout() -> contextlib.AbstractContextManager:
    """Redirect text that a metric of another package prints to standard error, so that it is not among the results."""
    return contextlib.redirect_stdout(sys.stderr)
