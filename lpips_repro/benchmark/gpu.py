"""`make gpu-bench`: the rates of one network on a GPU, in several parts.

Each part is written to a CSV as soon as it is measured. The same command resumes with the missing parts: rows of
another card, version or code are measured again.
"""

import functools
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from lpips_repro.backbones import check_backbone
from lpips_repro.benchmark.evaluation import compare_evaluations
from lpips_repro.benchmark.gpu_card import describe_card
from lpips_repro.benchmark.lin import bench_lin
from lpips_repro.benchmark.machine import describe, file_name, precisions_of
from lpips_repro.benchmark.rate_table import Row, cells_of, render
from lpips_repro.benchmark.training import compare_trainings
from lpips_repro.config import BenchConfig, Measure, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.errors import UserError
from lpips_repro.files import read_csv, write_csv
from lpips_repro.runs.device import choose_device

PART = "part"
# Rows with different values in this column may be in one file.
DATE = "date"


def gpu_bench(composed: DictConfig) -> Path:
    """Measure the parts that are missing in the CSV of a network. The composed settings are `configs/bench.yaml`.

    Returns:
        The path of the CSV, gpu-bench-<card>-<network>.csv.

    Raises:
        UserError: if a setting cannot be used, or, at the end, if a part could not be measured.
    """
    cfg = parse(composed, BenchConfig)
    if len(cfg.net) != 1:
        raise UserError(f"net=[{','.join(cfg.net)}]: expected one network: NET=alex")
    ((name, settings),) = cfg.net.items()
    net = settings.backbone
    check_backbone(net, f"net.{name}.backbone", settings.module)
    check_writable("experiments", Path(cfg.experiments) / "benchmarks")
    device = choose_device(cfg.device)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    card = describe_card(device)
    path = Path(cfg.experiments) / "benchmarks" / f"gpu-bench-{file_name(card['card'])}-{file_name(net)}.csv"
    ledger = Ledger(path, describe(device) | {key: card[key] for key in ("driver", "cuda", "python", "code")})
    failed = [part for part, measure in _parts(net, cfg, device) if not _measured(part, measure, ledger)]
    if failed:
        raise UserError(f"{path}: not measured: {', '.join(failed)}: the same command tries these again")
    print(f"\nwritten: {path}")
    return path


class Ledger:
    """The CSV of a network's rows, by part.

    Args:
        path: the CSV. Its rows of another card, version or code are dropped, and so measured again.
        machine: columns that describe the card, the versions and the code.
    """

    def __init__(self, path: Path, machine: dict[str, str]):
        self.path, self.machine = path, machine
        self.rows: list[dict[str, Any]] = []
        if not path.is_file():
            return
        found = read_csv(path, "restore it, or move it elsewhere to measure everything again")
        self.rows = [row for row in found if all(row.get(k) == v for k, v in machine.items() if k != DATE)]
        if len(self.rows) < len(found):
            count = len(found) - len(self.rows)
            print(f"{path}: {count} rows are of another card, version or code: they are measured again")

    def date_of(self, part: str) -> str | None:
        """Return the day on which a part was measured, or None if it was not."""
        return next((row[DATE] for row in self.rows if row[PART] == part), None)

    def add(self, part: str, rows: Sequence[Row]) -> None:
        """Add the rows of a part to the CSV; its other rows are not lost if the process is killed."""
        self.rows += [{PART: part, **cells_of(row), **self.machine} for row in rows]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_csv(self.path, self.rows)


def _parts(net: str, cfg: BenchConfig, device: torch.device) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """Yield the name and the function of each part. The other precisions share a part: peers have no bfloat16."""
    first, *others = precisions_of(device)
    eager = "" if cfg.compile else " eager"
    sizes = {cfg.batch_size: True} | ({cfg.cuda_batch_size: False} if device.type == "cuda" else {})
    for precisions in ((first,), tuple(others)):
        text = "+".join(precisions) + eager
        if Measure.evaluation in cfg.measure:
            for batch, peers in sizes.items():
                run = functools.partial(compare_evaluations, net, batch, cfg, device, precisions, peers=peers)
                yield f"evaluation {batch} {text}", run
        if Measure.training in cfg.measure:
            run = functools.partial(compare_trainings, net, cfg, device, precisions)
            yield f"training {cfg.batch_size} {text}", run
    if Measure.lin in cfg.measure:
        yield f"lin {cfg.batch_size}", functools.partial(bench_lin, net, cfg, device)


def _measured(part: str, measure: Callable[[], list[Row]], ledger: Ledger) -> bool:
    """Measure a part unless it is in the CSV; returns whether it is there now."""
    if date := ledger.date_of(part):
        print(f"{part}: measured on {date}", flush=True)
        return True
    try:
        rows = measure()
    except UserError as error:
        print(f"{part}: {error}", flush=True)
        return False
    except Exception:  # a GPU raises many kinds; the other parts are still measured
        traceback.print_exc()
        return False
    finally:
        torch.compiler.reset()  # torch keeps at most eight compilations of a function
    print(f"\n{render(rows)}", flush=True)
    ledger.add(part, rows)
    return True
