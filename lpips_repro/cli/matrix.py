"""LPIPS distances of every image from every reference. Each image passes the network once.

The feature maps of images are kept in memory, at most `KEPT_BYTES`. If they take more, images are divided into tiles of
half of that, and an image passes the network once per pair of tiles.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.reading import Reading, read_file, to_batch
from lpips_repro.cli.score import Scored
from lpips_repro.devices import read_ahead, workers
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import fault_of
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.all_pairs import all_pairs, maps_of_image
from lpips_repro.progress import Progress

KEPT_BYTES = 2 << 30


@dataclass
class Tile:
    """The feature maps of the images from `start` to `stop`, by size and index: per layer (H * W, C)."""

    start: int
    stop: int
    maps: dict[tuple[int, ...], dict[int, list[Tensor]]] = field(default_factory=dict)


class LPIPSMatrix:
    """The distances of images from references by methods with the same backbone and version.

    Args:
        metric: metric with the backbone of the methods.
        heads: head (C,) of each method, by label.
        refs, images: files; the same object if one folder is compared with itself.
        device: device of the metric.
        reading: how the files are read.

    Attributes:
        scored: a row per reference, with a pair per image.
    """

    def __init__(
        self,
        metric: LPIPS,
        heads: Mapping[str, Tensor],
        refs: Sequence[Path],
        images: Sequence[Path],
        device: torch.device,
        reading: Reading,
    ):
        self.metric, self.heads, self.device, self.reading = metric, heads, device, reading
        self.refs, self.images, self.one_folder = refs, images, refs is images
        self.scored = [[Scored(Pair(ref, image)) for image in images] for ref in refs]
        self.faults: dict[Path, str] = {}

    def fill(self, progress: Progress) -> None:
        """Set the distances of `scored`, or the reasons if there are none, for one pair of tiles after the other."""
        rows, last = self._tile(self.refs, 0, progress), None
        while True:
            begin = rows.start if self.one_folder else 0
            while begin < len(self.images):
                same = self.one_folder and begin == rows.start
                last = rows if same else self._tile(self.images, begin, progress)
                self._add(rows, last, mirrored=self.one_folder and not same)
                begin = last.stop
            if rows.stop == len(self.refs):
                return
            # The last tile of images may also be the next tile of references.
            is_next = self.one_folder and last is not None and last.start == rows.stop
            rows = last if is_next and last else self._tile(self.refs, rows.stop, progress)

    def _add(self, rows: Tile, columns: Tile, *, mirrored: bool) -> None:
        for size, refs in rows.maps.items():
            others = columns.maps.get(size, {})
            for label, head in self.heads.items():
                if not others:
                    continue
                found = all_pairs(list(refs.values()), list(others.values()), head).float().cpu().numpy()
                for i, values in zip(refs, found, strict=True):
                    for j, value in zip(others, values, strict=True):
                        for one in (self.scored[i][j], *([self.scored[j][i]] if mirrored else [])):
                            one.size, one.distances[label] = (size[0], size[1]), float(str(value))
        for i in range(rows.start, rows.stop):
            for j in range(columns.start, columns.stop):
                self._explain(self.scored[i][j])
                if mirrored:
                    self._explain(self.scored[j][i])

    def _explain(self, one: Scored) -> None:
        faults = [self.faults[path] for path in (one.pair.ref, one.pair.image) if path in self.faults]
        if faults:
            one.faults[""] = faults[0]
        elif not one.distances:
            one.faults[""] = f"{one.pair.image}: not of the size of {one.pair.ref}: --resize HxW scales all images"

    def _tile(self, paths: Sequence[Path], start: int, progress: Progress) -> Tile:
        """The images from `start` on whose maps fit in half of `KEPT_BYTES`."""
        tile, kept = Tile(start, start), 0
        for size, maps in self._mapped(paths[start:]):
            index, tile.stop = tile.stop, tile.stop + 1
            progress.update()
            if isinstance(maps, str):
                self.faults[paths[index]] = maps
                continue
            tile.maps.setdefault(size, {})[index] = maps
            kept += sum(layer.nbytes for layer in maps)
            if kept >= KEPT_BYTES / 2:
                break
        return tile

    def _mapped(self, paths: Sequence[Path]) -> Iterator[tuple[tuple[int, ...], list[Tensor] | str]]:
        """The size and the maps of images (or the reason if they fail) in order, computed ahead by threads."""

        @torch.inference_mode()
        def maps_of(path: Path) -> tuple[tuple[int, ...], list[Tensor] | str]:
            try:
                pixels = read_file(path, self.reading)
                image = to_batch([pixels], self.device)
                return pixels.shape[:2], maps_of_image(self.metric, image, normalize=True)
            except UserError as error:
                return (), str(error)
            except (ValueError, MemoryError, RuntimeError) as error:  # such as an image that is too small
                return (), f"{path}: {fault_of(error)}"

        with workers() as pool:
            yield from read_ahead(maps_of, paths, pool, ahead=torch.get_num_threads)
