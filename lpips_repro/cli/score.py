"""The distances of pairs of image files, in batches of one size, while the next images are decoded."""

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from lpips_repro.cli.methods import ReadyMethod
from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.reading import Images, Reading, read_file, read_pair, to_batch
from lpips_repro.devices import read_ahead, workers
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Distance, fault_of, measure_batch
from lpips_repro.progress import Progress

# Pixels of references at once if no batch size is given, on a CPU per thread: more are no faster there.
PIXELS = {"cpu": 4 * 256**2, "cuda": 500 * 256**2}


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
        self.threads = torch.get_num_threads() if device.type == "cpu" else 1  # which a worker cannot ask for

    def fill(self, scored: Sequence[Scored], progress: Progress) -> None:
        """Put in the distances of pairs, or the reason if one cannot be compared; a batch at a time is complete."""
        with workers() as self.pool:
            self._fill(scored, progress)

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
            if sum(map(len, waiting.values())) >= self._at_once(one.size):
                fullest = max(waiting, key=lambda key: len(waiting[key]))
                self._measure(waiting.pop(fullest), progress)
        for group in waiting.values():
            self._measure(group, progress)

    def _at_once(self, size: tuple[int, int]) -> int:
        return self.batch_size or max(1, self.threads * PIXELS[self.device.type] // math.prod(size))

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
            ahead[0] = self._at_once(images[0].shape[:2])
            return one, images

        yield from read_ahead(read, scored, ThreadPoolExecutor(threads), ahead=lambda: ahead[0])

    def _measure(self, group: Group, progress: Progress) -> None:
        try:
            refs, others = (to_batch([images[k] for _, images in group], self.device) for k in (0, 1))
            found, faults = self._distances_of(refs, others)
        except (MemoryError, RuntimeError) as error:
            found, faults = {}, {("distance", ""): fault_of(error)}
        if faults and len(group) > 1:  # perhaps of one pair: a broken metric, or too little memory for all at once
            for pair in group:
                self._measure([pair], progress)
            return
        # As the shortest text of a float32: 0.721881, not 0.72188103199005127.
        rows = {key: [float(str(value)) for value in values.cpu().numpy()] for key, values in found.items()}
        for k, (one, images) in enumerate(group):
            one.faults |= {label: fault for (_, label), fault in faults.items()}
            for (kind, label), values in rows.items():
                if _is_defined(values[k], images, self.distances["distance", label].of_equal):
                    (one.distances if kind == "distance" else one.values)[label] = values[k]
                else:
                    one.faults[label] = UNDEFINED.format(kind, "NaN" if math.isnan(values[k]) else "infinite")
        progress.update(len(group))

    def _distances_of(self, refs: Tensor, others: Tensor) -> tuple[dict[Key, Tensor], dict[Key, str]]:
        """The distances and values (N,) of a batch, and faults: of networks on a CPU a part of the batch per worker.

        Functions of others may not be made for threads, and have all of it.
        """
        networks = {key: distance for key, distance in self.distances.items() if distance.lpips}
        if self.threads == 1 or len(refs) < self.threads:
            networks = {}
        parts = zip(refs.chunk(self.threads), others.chunk(self.threads), strict=True)
        tasks = [self.pool.submit(_measured, networks, part) for part in parts if networks]
        rest = {key: distance for key, distance in self.distances.items() if key not in networks}
        found, faults = _measured(rest, (refs, others))
        done = [task.result() for task in tasks]
        for key in networks:
            if all(key in values for values, _ in done):
                found[key] = torch.cat([values[key] for values, _ in done])
        return found, faults | {key: fault for _, failed in done for key, fault in failed.items()}


def _is_defined(value: float, images: Images, of_equal: float | None) -> bool:
    """Whether a value or distance is a number; or infinite as PSNR is, of equal images alone."""
    if math.isinf(value):
        return of_equal in (None, -math.inf) and np.array_equal(*images)
    return not math.isnan(value)


@torch.inference_mode()
def _measured(distances: Mapping[Key, Distance], images: Sequence[Tensor]) -> tuple[dict[Key, Tensor], dict[Key, str]]:
    found, faults = measure_batch(distances, images)
    return {key: values[0] for key, values in found.items()}, faults
