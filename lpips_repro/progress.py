"""The progress of long work: a bar on a terminal, else a line in the log from time to time."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

from lpips_repro.quoting import one_line

log = logging.getLogger(__name__)

EVERY = 30.0  # least seconds between two lines


class Progress(tqdm):
    """tqdm's bar if standard error is a terminal, else lines in the log.

    The first line comes after `EVERY` seconds, so that short work logs nothing. `update` writes the lines: slower
    updates give one line each.

    Args:
        iterable, desc, total, unit, others: as for tqdm.
        disable: True for neither bar nor lines, for example in all processes of a job except the first.
    """

    def __init__(
        self,
        iterable: Iterable | None = None,
        desc: str = "progress",
        total: float | None = None,
        *,
        disable: bool | None = None,
        unit: str = "step",
        **others: Any,
    ):
        desc = one_line(desc)
        super().__init__(iterable, desc, total, disable=disable, unit=unit, **others)
        self.in_log = bool(self.disable and not disable)
        if self.in_log:  # a disabled bar of tqdm keeps only counts
            self.desc, self.unit, self.postfix = desc, unit, ""
            self.unit_scale, self.initial = others.get("unit_scale", False), self.n
            self.begun = self.said = time.monotonic()

    def __iter__(self) -> Iterator:
        """Yield the items, and count each when the next one is requested."""
        if not self.in_log:
            yield from super().__iter__()
            return
        for item in self.iterable:
            yield item
            self.update()

    def update(self, n: float | None = 1) -> bool | None:
        """Count n more items."""
        if not self.in_log:
            return super().update(n)
        self.n += n
        now = time.monotonic()
        if now - self.said >= EVERY:
            self.said = now
            log.info("%s", self._line(now - self.begun))
        return None

    def _line(self, elapsed: float) -> str:
        has_total = self.total is not None and self.n <= self.total
        units = self.unit if self.unit == "B" else f"{self.unit}s"
        counts = "{percentage:.0f} %, {n_fmt} of {total_fmt} " if has_total else "{n_fmt} "
        left = ", {remaining} left" if has_total else ""
        return self.format_meter(
            self.n,
            self.total if has_total else None,
            elapsed,
            prefix=self.desc,
            bar_format=f"{{desc}}: {counts}{units}, {{elapsed}} elapsed{left}{{postfix}}",
            postfix=self.postfix,
            unit_scale=self.unit_scale,
            initial=self.initial,
        )
