"""Rates of this tree compared with those of another commit, on the same machine (`make bench AGAINST=COMMIT`).

Two processes, one per tree, alternate: a slow moment of the machine affects both. The rate of a process also depends on
things other than its code, such as its memory layout: the same code can be a third slower in one process than in
another. Therefore the processes are started several times. "Faster" or "slower" means that it was so after every start.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lpips_repro.backbones import BACKBONES
from lpips_repro.benchmark.commit_checkout import ROOT, checkout, current, find_commit
from lpips_repro.benchmark.commit_processes import measure, processes
from lpips_repro.benchmark.rates_of_commits import STARTS, Case, Change, Sample, change_of, render
from lpips_repro.benchmark.smooth_images import smooth_pair
from lpips_repro.benchmark.synthetic_inputs import backbone_weights, lpips_metric, noise_triplet
from lpips_repro.benchmark.timing import rounds
from lpips_repro.config import BenchConfig, Measure
from lpips_repro.datasets.folder import PATCH_SIZE
from lpips_repro.errors import UserError
from lpips_repro.progress import Progress

THIS = "this tree"
EVALUATION = {"float32": 1e-5, "bfloat16": 2e-2}
TRAINING = {"float32": 1e-4, "bfloat16": 2e-2}
CLASSIC = ("l2", "psnr", "ssim", "ssim (gaussian window)", "fsimc")


def bench_against(cfg: BenchConfig, device: torch.device) -> tuple[dict[str, str], list[Change]]:
    """Measure this tree and the commit `cfg.against`. Each table is printed when it is complete.

    Returns:
        Columns for the CSV (`now` and `then`: the commits compared), and all rows.

    Raises:
        UserError: for an unknown commit, a tree without git, or a commit of which nothing can be measured.
    """
    commit = find_commit(cfg.against or "")
    short, changes = commit[:7], []
    with checkout(commit) as tree, tempfile.TemporaryDirectory() as folder:
        for cases in _groups(cfg):
            write_inputs(Path(folder), cases[0].net, cfg)
            part = _measured(cases, {THIS: ROOT, short: tree}, Path(folder), cfg, device)
            print(f"\n{render(part, short)}", flush=True)
            changes += part
    if not any(change.rate_now for change in changes):
        raise UserError(f"against={cfg.against}: none of its code could be measured: choose a newer commit")
    return {"now": current(), "then": commit}, changes


def write_inputs(folder: Path, net: str, cfg: BenchConfig) -> None:
    """Write the inputs of the workers: images and weights, the same for both trees."""
    cpu, generator = torch.device("cpu"), torch.Generator().manual_seed(0)

    def write(name: str, tensors: dict[str, Tensor]) -> None:
        torch.save(tensors, folder / f"{name}.pt")

    names, count = ("ref", "p0", "p1"), cfg.batch_size
    write("pair", dict(zip(("x", "y"), smooth_pair(cfg.pairs, cpu), strict=True)))
    write("triplet", dict(zip(names, noise_triplet(count, cpu), strict=True)))
    patches = torch.randint(0, 256, (3, count, PATCH_SIZE, PATCH_SIZE, 3), dtype=torch.uint8, generator=generator)
    write("split", dict(zip(names, patches, strict=True)) | {"judge": torch.rand(count, generator=generator)})
    if net:
        write(f"lpips-{net}", lpips_metric(net).official_state_dict())
        write(f"backbone-{net}", backbone_weights(net))
        mean = torch.rand(count, 2, sum(BACKBONES[net].channels), generator=generator) / 1000
        write(f"features-{net}", {"mean": mean, "noise": mean / 10})


def _groups(cfg: BenchConfig) -> Iterator[list[Case]]:
    """Yield the cases of each group; a group shares its processes."""
    if Measure.classic in cfg.measure:
        yield list(_classic(cfg))
    for net in dict.fromkeys(net.backbone for net in cfg.net.values()):
        if cases := list(_of_net(net, cfg)):
            yield cases


def _classic(cfg: BenchConfig) -> Iterator[Case]:
    for task in CLASSIC:
        yield Case(task, cfg.pairs, "pairs/s", 1e-5)
        if cfg.compile and task.startswith("ssim"):
            yield Case(task, cfg.pairs, "pairs/s", 1e-5, mode="compiled")


def _of_net(net: str, cfg: BenchConfig) -> Iterator[Case]:
    batch = cfg.batch_size
    if Measure.evaluation in cfg.measure:
        yield Case("LPIPS.forward", batch, "pairs/s", EVALUATION["float32"], net)
        for mode in ("eager", "compiled") if cfg.compile else ("eager",):
            for precision, tolerance in EVALUATION.items():
                yield Case("LPIPS.triplet", batch, "triplets/s", tolerance, net, mode, precision)
    if Measure.training in cfg.measure:
        for precision, tolerance in TRAINING.items():
            yield Case("tune step", batch, "triplets/s", tolerance, net, precision=precision)
    if Measure.lin in cfg.measure:
        for task in ("lin features", "lin step"):
            yield Case(task, batch, "triplets/s", TRAINING["float32"], net)


def _measured(
    cases: Sequence[Case], trees: dict[str, Path], inputs: Path, cfg: BenchConfig, device: torch.device
) -> list[Change]:
    samples, starts = [Sample(case) for case in cases], min(STARTS, cfg.repeats)
    after_each = -(-cfg.repeats // starts)
    with Progress(total=starts * len(cases), desc=cases[0].net or "classic", leave=False) as bar:
        for number in range(starts):
            with processes(trees, inputs, device) as pair:
                for sample in samples:
                    if not sample.note:
                        measure(sample, pair, rounds(after_each, cfg.seconds / starts, least=1), number)
                    bar.update()
    return [change_of(sample) for sample in samples]
