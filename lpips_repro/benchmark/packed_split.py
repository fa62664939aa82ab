"""Rate and memory of `compute_distances` on whole packed splits, a small and a large one."""

import functools
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from lpips_repro.benchmark.rate_table import Row
from lpips_repro.benchmark.synthetic_inputs import lpips_metric, noise_split
from lpips_repro.config import BenchConfig
from lpips_repro.evaluation.distances.compute import Distance, batches_of, compute_distances
from lpips_repro.metrics.lpips.channels import weighted_sum
from lpips_repro.parallel import process_pool
from lpips_repro.precision import set_tf32

TASK = "packed split"
STATUS = Path("/proc/self/status")
SAMPLE_SECONDS = 0.02


def bench_split(net: str, cfg: BenchConfig, device: torch.device) -> list[Row]:
    """Return the rows of the small and the large split, measured in a new process, whose memory nothing else uses."""
    small, large = cfg.split_triplets
    batch = cfg.cuda_batch_size if device.type == "cuda" else cfg.batch_size
    with process_pool(1, task=TASK) as pool:
        # The small split is measured before and after the large one, in case the machine slows down.
        arguments = (net, (small, large, small), batch, str(device), torch.get_num_threads())
        measured = pool.submit(_measure, *arguments).result()
    seconds = {small: (measured[0][0] + measured[2][0]) / 2, large: measured[1][0]}
    memory = {small: measured[0][1], large: measured[1][1]}
    rates, rows = {count: count / seconds[count] for count in (small, large)}, []
    for count, rate in rates.items():
        row = Row(f"{TASK} of {count}", net, batch, mode="eager", precision="float32", unit="triplets/s")
        row.rate, row.memory_mb, row.repeats = rate, memory[count], 2 if count == small else 1
        rows.append(row)
    rows[1].peer, rows[1].ratio = f"{TASK} of {small}", rates[large] / rates[small]
    if None in memory.values():
        rows[1].note = f"memory not measured: there is no {STATUS} here"
    return rows


def _measure(
    net: str, counts: Sequence[int], batch_size: int, device_name: str, threads: int
) -> list[tuple[float, float | None]]:
    """Seconds and peak megabytes of splits with some numbers of triplets."""
    torch.set_num_threads(threads)
    device = torch.device(device_name)
    if device.type == "cuda":
        set_tf32(False)  # as `choose_device` does in the main process
    metric = lpips_metric(net).to(device)
    measure = functools.partial(metric.channel_means, normalize=True)
    distances = {net: Distance(measure, {}, functools.partial(weighted_sum, head=metric.head))}
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        splits = {count: noise_split(Path(folder) / str(count), count) for count in set(counts)}
        warm_up = noise_split(Path(folder) / "warm up", batch_size)
        compute_distances(distances, warm_up, device, batches_of(warm_up, device, batch_size))
        for count in counts:
            with _Memory() as memory:
                start = time.perf_counter()
                batches = batches_of(splits[count], device, batch_size)
                compute_distances(distances, splits[count], device, batches)
                measured.append((time.perf_counter() - start, memory.most))
    return measured


class _Memory:
    """Peak memory of this process in megabytes, without mapped files; None if it is unknown."""

    most: float | None = None

    def __enter__(self) -> "_Memory":
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._take()
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self._take()

    def _take(self) -> None:
        if STATUS.is_file():
            (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
            self.most = max(self.most or 0.0, int(line.split()[1]) * 1024 / 1e6)
