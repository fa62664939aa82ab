"""What a command runs with, and how it ends."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from lpips_repro.cli import options
from lpips_repro.cli.matrix import LPIPSMatrix
from lpips_repro.cli.methods import ReadyMethod, find_methods, prepare
from lpips_repro.cli.output import described, failures_of, formatted, records_of
from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.reading import Reading
from lpips_repro.cli.score import Scored, Scorer
from lpips_repro.config import Device
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.files import write_whole
from lpips_repro.metrics.lpips.core import Core
from lpips_repro.progress import Progress
from lpips_repro.runs.record import choose_device


class Session:
    """What a command runs with: methods that are ready, the device, and how files are read."""

    def __init__(
        self,
        names: Sequence[str],
        weights: Path | None,
        device: Device,
        batch_size: int | None,
        resize: str,
        background: str,
        quiet: bool,
    ):
        self.quiet = quiet
        logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(message)s", stream=sys.stderr)
        self.reading = Reading(options.check_background(background), options.size_of(resize))
        self.device = choose_device(device)
        found = find_methods(names, weights)
        self.methods: list[ReadyMethod] = prepare(found, Engine(self.device))
        self.scorer = Scorer(self.methods, self.device, self.reading, batch_size)

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """The distances of pairs, with progress."""
        with self._progress(len(pairs), "pair") as progress:
            return self.scorer.score(pairs, progress)

    def matrix(self, refs: Sequence[Path], images: Sequence[Path]) -> list[Scored]:
        """The distances of all images from all references, with progress."""
        if self.reading.resize == "ref":
            raise UserError("--resize ref: a matrix has no single reference: use --resize HxW")
        found: dict[Pair, Scored] = {}
        for core, methods in self._by_core().items():
            if core is None:
                pairs = [Pair(ref, image) for ref in refs for image in images]
                with self._progress(len(pairs), "pair") as progress:
                    part = Scorer(methods, self.device, self.reading, self.scorer.batch_size).score(pairs, progress)
            else:
                heads = {method.label: method.distance.lpips[1] for method in methods if method.distance.lpips}
                with self._progress(len(refs) + (0 if images is refs else len(images)), "image") as progress:
                    part = LPIPSMatrix(core, heads, refs, images, self.device, self.reading).fill(progress)
            for one in part:
                known = found.setdefault(one.pair, one)
                known.distances |= one.distances
                known.faults |= one.faults
        return list(found.values())

    def finish(
        self, scored: Sequence[Scored], output: Path | None, style: options.Format | None, *, square: bool = False
    ) -> None:
        """Write the results, name what failed, and end with status 1 if anything did."""
        records, failures = records_of(scored, self.methods, self.reading), failures_of(scored)
        text = formatted(records, failures, options.style_of(style, output), square=square)
        if output is None:
            sys.stdout.write(text)
        else:
            write_whole(output, text)
            self.note(f"written: {output}")
        for line in dict.fromkeys(map(described, failures)):  # each file once
            print(f"failed: {line}", file=sys.stderr)
        if failures:
            raise typer.Exit(1)

    def note(self, text: str) -> None:
        """Say something on standard error, unless the user wants quiet."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def _progress(self, total: int, unit: str) -> Progress:
        return Progress(total=total, desc="distances", unit=unit, leave=False, disable=True if self.quiet else None)

    def _by_core(self) -> dict[Core | None, list[ReadyMethod]]:
        groups: dict[Core | None, list[ReadyMethod]] = {}
        for method in self.methods:
            core = method.distance.lpips[0] if method.distance.lpips else None
            groups.setdefault(core, []).append(method)
        return groups
