"""The distances of pairs of image files, in batches of one size, while the next images are decoded."""

import dataclasses
import math
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import torch
from torch import Tensor

from lpips_repro.cli.methods import ReadyMethod
from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.reading import Images, Reading, read_file, read_pair, to_batch
from lpips_repro.devices import read_ahead, workers
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Distance, fault_of, measure_batch
from lpips_repro.images import as_floats
from lpips_repro.progress import Progress

# Pixels of references in a batch if no batch size is given: on a CPU more are no faster.
PIXELS = {"cpu": 8 * 256**2, "cuda": 500 * 256**2}


@dataclasses.dataclass(slots=True)
class Scored:
    """What is known of a pair, which is nothing until it is compared.

    Attributes:
        size: (height, width) that was compared.
        distances: by the label of the method; values: of the metric itself, if that is not the distance.
        faults: why there is no distance, by label; "" stands for all methods.
    """

    pair: Pair
    size: tuple[int, int] = (0, 0)
    distances: dict[str, float] = dataclasses.field(default_factory=dict)
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    faults: dict[str, str] = dataclasses.field(default_factory=dict)


OUT_OF_MEMORY = "too large for the memory"
UNDEFINED = "the {} is {}: the metric is not defined for these two images"

Group = list[tuple[Scored, Images]]
Key = tuple[str, str]  # "distance" or "value", and the label of a method
Measured = tuple[dict[Key, Tensor], dict[Key, str]]


class Scorer:
    """Runs methods over pairs.

    Args:
        methods: ready to run, with different labels.
        device: that they run on; reading: of the files.
        batch_size: pairs at once. At most twice as many are in memory; None for what suits their size.
    """

    def __init__(
        self,
        methods: Sequence[ReadyMethod],
        device: torch.device,
        reading: Reading,
        batch_size: int | None = None,
    ):
        self.distances = {("distance", method.label): method.distance for method in methods}
        # From the same `measure`: the metric's own value is what it gives before that is made a distance.
        self.distances |= {
            ("value", method.label): dataclasses.replace(method.distance, finish=None)
            for method in methods
            if method.distance.measures_value
        }
        self.device, self.reading, self.batch_size = device, reading, batch_size
        self.running: deque[tuple[Group, Future[Measured] | None, Measured]] = deque()
        networks = device.type == "cpu" and any(method.distance.lpips for method in methods)
        self.workers = torch.get_num_threads() if networks and torch.get_num_threads() > 1 else 0

    def fill(self, scored: Sequence[Scored], progress: Progress) -> None:
        """Put in the distances of pairs, or the reason if one cannot be compared; a batch at a time is complete."""
        with workers() as self.pool:
            try:
                self._fill(scored, progress)
            finally:  # after Ctrl-C those that were started, too
                while self.running:
                    self._finish(progress)

    def _fill(self, scored: Sequence[Scored], progress: Progress) -> None:
        waiting: dict[tuple[int, ...], Group] = {}
        for one, images in self._decoded(scored):
            if isinstance(images, str):
                one.faults[""] = images
                progress.update()
                continue
            one.size = images[0].shape[:2]
            key = (*one.size, images[0].itemsize, images[1].itemsize)
            waiting.setdefault(key, []).append((one, images))
            if sum(map(len, waiting.values())) >= self._batch(one.size):
                fullest = max(waiting, key=lambda key: len(waiting[key]))
                self._start(waiting.pop(fullest), progress)
        for group in waiting.values():
            self._start(group, progress)

    def _at_once(self, size: tuple[int, int]) -> int:
        """How many pairs are computed at once, by all workers."""
        most = (self.workers + 1) * PIXELS[self.device.type] // math.prod(size)
        return self.batch_size or max(1, most)

    def _batch(self, size: tuple[int, int]) -> int:
        """How many of them are a batch: there is one for each worker, and one that waits for the first of them."""
        return max(1, self._at_once(size) // (self.workers + 1))

    def _decoded(self, scored: Sequence[Scored]) -> Iterator[tuple[Scored, Images | str]]:
        """The pixels of each pair, uint8 or uint16 (H, W, 3), or the reason that there are none."""
        threads = os.cpu_count() or 1
        ahead = [threads]  # no size is known yet
        read_ref = lru_cache(maxsize=2)(read_file)  # many pairs may have the same

        def read(one: Scored) -> tuple[Scored, Images | str]:
            try:
                images = read_pair(one.pair, self.reading, read_ref)
            except UserError as error:
                return one, str(error)
            except MemoryError:
                return one, OUT_OF_MEMORY
            size = images[0].shape[:2]
            ahead[0] = max(1, self._at_once(size) - self._batch(size))
            return one, images

        yield from read_ahead(read, scored, ThreadPoolExecutor(threads), ahead=lambda: ahead[0])

    def _start(self, group: Group, progress: Progress) -> None:
        """Compute a batch: by networks on a CPU in a worker, while the next batches are started.

        Functions of others may not be made for threads, and are called here.
        """
        size = group[0][0].size
        most = self._at_once(size) // self._batch(size)
        while len(self.running) >= most:
            self._finish(progress)
        networks = {key: distance for key, distance in self.distances.items() if distance.lpips}
        if most < max(2, self.workers):
            networks = {}  # too few for all workers: all threads share them
        rest = {key: distance for key, distance in self.distances.items() if key not in networks}
        task = self.pool.submit(self._measured, networks, group) if networks else None
        self.running.append((group, task, self._measured(rest, group)))

    def _finish(self, progress: Progress) -> None:
        """Put in the distances of the batch that was started first."""
        group, task, (found, faults) = self.running[0]
        if task is not None:
            values, failed = task.result()
            found, faults = found | values, faults | failed
        if faults and len(group) > 1:  # perhaps of one pair: a broken metric, or too little memory for all at once
            for pair in group:
                self._put([pair], *self._measured(self.distances, [pair]))
        else:
            self._put(group, found, faults)
        self.running.popleft()
        progress.update(len(group))

    def _put(self, group: Group, found: Mapping[Key, Tensor], faults: Mapping[Key, str]) -> None:
        # As the shortest text of a float32: 0.721881, not 0.72188103199005127.
        rows = {key: [float(str(value)) for value in values.cpu().numpy()] for key, values in found.items()}
        for k, (one, images) in enumerate(group):
            one.faults |= {label: fault for (_, label), fault in faults.items()}
            for (kind, label), values in rows.items():
                if _is_defined(values[k], images, self.distances["distance", label].of_equal):
                    (one.distances if kind == "distance" else one.values)[label] = values[k]
                else:
                    one.faults[label] = UNDEFINED.format(kind, "NaN" if math.isnan(values[k]) else "infinite")

    @torch.inference_mode()
    def _measured(self, distances: Mapping[Key, Distance], group: Group) -> Measured:
        """The distances and values (N,) of a batch, and why there are none."""
        if not distances:
            return {}, {}
        try:
            refs, others = (to_batch([images[k] for _, images in group], self.device) for k in (0, 1))
            found, faults = measure_batch(distances, (refs, others))
        except (MemoryError, RuntimeError) as error:
            return {}, {("distance", ""): fault_of(error)}
        return {key: values[0] for key, values in found.items()}, faults


def _is_defined(value: float, images: Images, of_equal: float | None) -> bool:
    """Whether a value or distance is a number; or infinite as PSNR is, of equal images alone."""
    if math.isinf(value):
        return of_equal in (None, -math.inf) and torch.equal(*map(as_floats, images))  # with 8 and 16 bits alike
    return not math.isnan(value)
