"""`make bench`: runs the tasks in sequence, prints the table of each, and writes all rows as a CSV."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig

from lpips_repro.backbones import check_backbone
from lpips_repro.benchmark.against_commit import bench_against
from lpips_repro.benchmark.building import bench_building
from lpips_repro.benchmark.classic import bench_classic
from lpips_repro.benchmark.evaluation import bench_evaluation
from lpips_repro.benchmark.image_files import bench_files
from lpips_repro.benchmark.lin import bench_lin
from lpips_repro.benchmark.machine import describe, slug
from lpips_repro.benchmark.packed_split import bench_split
from lpips_repro.benchmark.page import bench_page
from lpips_repro.benchmark.projection import NETS, projections
from lpips_repro.benchmark.rate_table import Row, render, write_rates
from lpips_repro.benchmark.rates_of_commits import Change
from lpips_repro.benchmark.training import bench_training
from lpips_repro.benchmark.val_table import bench_val_table
from lpips_repro.config import BenchConfig, Measure, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.runs.device import choose_device

PER_NET = {
    Measure.evaluation: bench_evaluation,
    Measure.table: bench_val_table,
    Measure.training: bench_training,
    Measure.lin: bench_lin,
    Measure.files: bench_files,
}


def bench(composed: DictConfig) -> Path:
    """Run the tasks of the composed settings (`configs/bench.yaml`), and return the path of the CSV.

    Raises:
        UserError: if a setting cannot be used, or if the values of an implementation differ from ours.
    """
    cfg = parse(composed, BenchConfig)
    for name, net in cfg.net.items():
        check_backbone(net.backbone, f"net.{name}.backbone", net.module)
    check_writable("experiments", Path(cfg.experiments) / "benchmarks")
    device = choose_device(cfg.device)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    machine = describe(device)
    print("\n".join(f"{name}: {value}" for name, value in machine.items() if value), flush=True)

    name = slug(machine)
    rows: Sequence[Row | Change]
    if cfg.against is None:
        rows = _next_to_peers(cfg, device)
    else:
        commits, rows = bench_against(cfg, device)
        machine, name = machine | commits, f"{name}-against-{commits['then'][:7]}"
    whole = set(cfg.measure) == set(Measure) and {net.backbone for net in cfg.net.values()} == set(NETS)
    # The file of a whole run is not replaced by that of a part.
    path = Path(cfg.experiments) / "benchmarks" / f"{name}{'' if whole else '-part'}.csv"
    write_rates(path, rows, machine)
    print(f"\nwritten: {path}")
    return path


def _next_to_peers(cfg: BenchConfig, device: torch.device) -> list[Row]:
    rows: list[Row] = []
    for part in _parts(cfg, device):
        print(f"\n{render(part)}", flush=True)
        rows += part
    if projected := projections(rows):
        print(f"\n{render(projected)}")
    return [*rows, *projected]


def _parts(cfg: BenchConfig, device: torch.device) -> Iterator[list[Row]]:
    nets = list(dict.fromkeys(net.backbone for net in cfg.net.values()))
    if Measure.classic in cfg.measure:
        yield bench_classic(cfg, device)
    for part, bench_net in PER_NET.items():
        if part in cfg.measure:
            for net in nets:
                yield bench_net(net, cfg, device)
                torch.compiler.reset()  # torch keeps at most eight compilations of a function
    if Measure.building in cfg.measure:
        yield bench_building(cfg, device)
    if Measure.page in cfg.measure:
        yield bench_page()
    if Measure.split in cfg.measure:
        for net in nets if device.type == "cuda" else nets[:1]:  # minutes per network on a CPU
            yield bench_split(net, cfg, device)
