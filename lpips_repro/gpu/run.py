"""`make gpu-check`: all checks on this machine's GPU."""

import importlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch

from lpips_repro.benchmark.gpu_card import describe_card
from lpips_repro.benchmark.machine import file_name
from lpips_repro.devices import why_no_cuda
from lpips_repro.errors import UserError, check_choice
from lpips_repro.gpu.runner import FAILED, Check, results_of, summary, write_results

# The longest groups last.
GROUPS = ("parity", "pretraining", "resume", "ranks", "tests", "training")


def gpu_check(chosen: Sequence[str] = (), folder: Path = Path("experiments/benchmarks")) -> int:
    """Run the checks and return the exit status: 1 if any failed.

    Args:
        chosen: names of groups; all by default.
        folder: the folder of the CSV: gpu-check-<card>.csv, or gpu-check-<card>-part.csv for chosen groups.

    Raises:
        UserError: if there is no GPU, or if a group is unknown.
    """
    for name in chosen:
        check_choice("group", name, GROUPS)
    device = find_gpu()
    card = describe_card(device)
    print("\n".join(f"{name}: {value}" for name, value in card.items()), flush=True)
    path = folder / f"gpu-check-{file_name(card['card'])}{'-part' if chosen else ''}.csv"
    results = []
    for result in results_of({name: _list_of(name) for name in chosen or GROUPS}, device):
        results.append(result)
        write_results(path, results, card)  # so that a killed run keeps its results
    print(f"\n{summary(results)}\nwritten: {path}")
    return int(any(result.status == FAILED for result in results))


def find_gpu() -> torch.device:
    """The first GPU.

    Raises:
        UserError: if there is none.
    """
    if reason := why_no_cuda():
        raise UserError(f"{reason}: use a machine with an NVIDIA GPU, its driver and a build of torch for CUDA")
    return torch.device("cuda", 0)


def _list_of(group: str) -> Callable[[], Iterable[Check]]:
    # Imported late: packages that a group needs may not be installed.
    return lambda: importlib.import_module(f"lpips_repro.gpu.{group}").checks()
