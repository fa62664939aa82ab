"""The distances of pairs of image files, in batches of one size, while the next images are decoded."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch

from lpips_repro.cli.methods import ReadyMethod
from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.reading import Images, Reading, read_pair, to_batch
from lpips_repro.devices import read_ahead
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import measure_batch
from lpips_repro.images import read_rgb
from lpips_repro.progress import Progress

# At once if no batch size is given.
PIXELS = {"cpu": 50 * 256**2, "cuda": 500 * 256**2}
AHEAD = 32  # pairs that are decoded in advance then


@dataclass
class Scored:
    """What is known of a pair: the size (height, width) that was compared, distances by label, and why there are none.

    Attributes:
        distances: by the label of the method; faults: likewise, of methods without one; "" stands for all methods.
    """

    pair: Pair
    size: tuple[int, int] = (0, 0)
    distances: dict[str, float] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


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
        self.methods = {method.label: method.distance for method in methods}
        self.device, self.reading, self.batch_size = device, reading, batch_size

    def score(self, pairs: Sequence[Pair], progress: Progress) -> list[Scored]:
        """The distances of pairs, in their order; a pair that cannot be compared has the reason.

        An interruption from the keyboard ends the work; the pairs that are done have their distances.
        """
        scored = [Scored(pair) for pair in pairs]
        waiting: dict[tuple[int, ...], list[tuple[Scored, Images]]] = {}
        try:
            for one, images in self._decoded(scored):
                if isinstance(images, UserError):
                    one.faults[""] = str(images)
                    progress.update()
                    continue
                one.size = images[0].shape[:2]
                group = waiting.setdefault((*images[0].shape, images[0].itemsize, images[1].itemsize), [])
                group.append((one, images))
                if len(group) >= self._at_once(one.size):
                    self._measure(waiting.pop(next(k for k, v in waiting.items() if v is group)), progress)
                elif sum(map(len, waiting.values())) >= self._at_once(one.size):
                    self._measure(waiting.pop(max(waiting, key=lambda key: len(waiting[key]))), progress)
            for group in waiting.values():
                self._measure(group, progress)
        except KeyboardInterrupt:
            for one in scored:
                if not one.distances and not one.faults:
                    one.faults[""] = "interrupted"
        return scored

    def _at_once(self, size: tuple[int, int]) -> int:
        return self.batch_size or max(1, PIXELS[self.device.type] // (size[0] * size[1]))

    def _decoded(self, scored: Iterable[Scored]) -> Iterator[tuple[Scored, Images | UserError]]:
        """The pixels of each pair, uint8 or uint16 (H, W, 3), read by threads ahead of what is asked for."""
        read_ref = lru_cache(maxsize=2)(read_rgb)  # many pairs may have the same

        def read(one: Scored) -> tuple[Scored, Images | UserError]:
            try:
                return one, read_pair(one.pair, self.reading, read_ref)
            except UserError as error:
                return one, error

        yield from read_ahead(read, scored, threads=os.cpu_count() or 1, ahead=self.batch_size or AHEAD)

    def _measure(self, group: Sequence[tuple[Scored, Images]], progress: Progress) -> None:
        refs, others = (to_batch([images[k] for _, images in group], self.device) for k in (0, 1))
        with torch.inference_mode():
            found, faults = measure_batch(self.methods, (refs, others))
        # As the shortest text of a float32: 0.721881, not 0.72188103199005127.
        values = {label: [float(str(v)) for v in found[label][0].cpu().numpy()] for label in found}
        for k, (one, _) in enumerate(group):
            one.faults |= faults
            for label in values:
                if values[label][k] == values[label][k]:
                    one.distances[label] = values[label][k]
                else:
                    one.faults[label] = "the distance is NaN"
        progress.update(len(group))
