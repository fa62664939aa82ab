"""`make build-dataset`: build a dataset in the BAPPS layout, without judgments, from a folder of photographs.

    OUT/dataset.json                             settings, and the severities in physical units
    OUT/photographs.csv                          the phase of each photograph, or why it is left out
    OUT/2afc/train/traditional/ref/000000.png    and p0, p1
    OUT/2afc/train/traditional/recipes.parquet   how each example was made
    OUT/2afc/train/traditional/sizes.json        bytes of each image

A split is made in chunks in the hidden folder `.building`, and moved to its place when it is complete. A finished chunk
has a file with its recipes. Finished chunks are not made again after an interruption.
"""

import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig

from lpips_repro.building.card import PHOTOGRAPHS, WORKPLACE, begin, is_complete, reopen
from lpips_repro.building.complete_splits import restore_images, write_image, write_sizes
from lpips_repro.building.durable_files import flush
from lpips_repro.building.examples import (
    FAMILIES,
    Split,
    draw_recipe,
    open_families,
    read_photograph,
    render,
    splits_of,
    with_digest,
)
from lpips_repro.building.photographs import Photograph, list_photographs
from lpips_repro.building.recipes import Recipe, check_pyarrow, read_recipes, write_recipes
from lpips_repro.config import parse
from lpips_repro.config.building import BuildConfig
from lpips_repro.config.checks import check_writable
from lpips_repro.config.outputs import check_new_dataset
from lpips_repro.datasets.bapps.published import gigabytes
from lpips_repro.datasets.mini.workers import map_over_processes
from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD, patch_bytes
from lpips_repro.datasets.packing.layout import RECIPES
from lpips_repro.datasets.registry import MOST_WORKERS
from lpips_repro.errors import UserError
from lpips_repro.files import naming
from lpips_repro.files.locks import exclusive
from lpips_repro.parallel import available_cores
from lpips_repro.progress import Progress

CHUNK = 100  # examples per chunk
BLOCK = 4096  # bytes that a file takes at least
FINISHED = "finished"


class Chunk(NamedTuple):
    """Consecutive examples of a split, which one worker makes, and the photograph of each."""

    cfg: BuildConfig
    split: Split
    indices: range
    photographs: Sequence[Photograph]

    @property
    def recipes(self) -> Path:
        """The file with its recipes. It exists if the chunk is finished."""
        return workplace_of(self.cfg, self.split) / FINISHED / f"{self.indices.start:06d}.parquet"


def build_dataset(composed: DictConfig) -> Path:
    """Build the dataset that the composed settings (`configs/build_dataset.yaml`) describe; finished parts are kept.

    Returns:
        The folder of the dataset.

    Raises:
        UserError: if a setting is refused, if the folder holds something else or a dataset with other settings, or if
            there are too few photographs.
    """
    check_pyarrow()
    cfg = parse(composed, BuildConfig)
    out, images = Path(cfg.out), Path(cfg.images)
    names = list_photographs(images)
    if out.resolve().is_relative_to(images.resolve()):
        raise UserError(
            f"out={out}: is inside the folder of photographs, so that its images would count as photographs: set"
            " another folder"
        )
    check_new_dataset("out", out)
    splits = splits_of(cfg)
    _check_families(cfg, splits)
    if is_complete(cfg):  # without a lock, since the disk may be read-only
        reopen(cfg, names)
    else:
        _complete(cfg, names, splits)
    restore_images(cfg, splits)
    shutil.rmtree(out / WORKPLACE, ignore_errors=True)
    _report(cfg, splits)
    return out


def _complete(cfg: BuildConfig, names: Sequence[str], splits: Sequence[Split]) -> None:
    """Make the splits that are missing."""
    out, workers = Path(cfg.out), cfg.workers or min(available_cores(), MOST_WORKERS)
    check_writable("out", out)
    _check_space(cfg, splits)
    with exclusive(out), map_over_processes(workers, str(out), "workers") as run:
        photographs = begin(cfg, names, run)
        for split in splits:
            if not (out / split.path).is_dir():
                _make_split(cfg, split, [one for one in photographs if one.phase == split.phase], run)


def _check_space(cfg: BuildConfig, splits: Sequence[Split]) -> None:
    """Raise UserError if the disk cannot hold the images, which take at least a quarter of their pixels' bytes."""
    missing = [split for split in splits if not (Path(cfg.out) / split.path).is_dir()]
    made = [len([*(workplace_of(cfg, split) / FINISHED).glob("*.parquet")]) * CHUNK for split in missing]
    images = sum(
        (split.count - done) * len(IMAGE_FIELDS[split.kind]) for split, done in zip(missing, made, strict=True)
    )
    needed, free = images * max(BLOCK, patch_bytes(cfg.size) // 4), shutil.disk_usage(cfg.out).free
    if needed > free:
        counts = f"train={cfg.train} val={cfg.val} jnd={cfg.jnd} size={cfg.size}"
        raise UserError(
            f"{counts}: {images} images need at least {gigabytes(needed)}, and the disk of {cfg.out} has"
            f" {gigabytes(free)} free: set smaller numbers, or OUT=FOLDER on another disk"
        )


def _report(cfg: BuildConfig, splits: Sequence[Split]) -> None:
    """Print the splits, and the next command if they have no judgments."""
    counts = ", ".join(f"{split.path} ({split.count})" for split in splits)
    judged = all((Path(cfg.out) / split.path / VOTE_FIELD[split.kind]).is_dir() for split in splits)
    state = "with judgments"
    if not judged:
        state = f"without judgments: collect them, or run `make simulate OUT={shlex.quote(cfg.out)}`"
    print(f"{cfg.out}: complete: {counts}: {state}")


def workplace_of(cfg: BuildConfig, split: Split) -> Path:
    """The folder in which a split is made."""
    return Path(cfg.out) / WORKPLACE / split.path.replace("/", "-")


def make_chunk(chunk: Chunk) -> int:
    """Make the examples of a chunk, then the file of their recipes; return how many."""
    folder, families = workplace_of(chunk.cfg, chunk.split), open_families(chunk.cfg.cnn)
    recipes: list[Recipe] = []
    files: list[Path] = []
    last, image = None, np.empty(0)
    for index, photograph in zip(chunk.indices, chunk.photographs, strict=True):
        if photograph != last:
            last, image = photograph, read_photograph(Path(chunk.cfg.images), photograph.name, photograph.sha256)
        recipe = draw_recipe(chunk.cfg, chunk.split, index, photograph, image, families)
        images = render(recipe, image, families)
        recipes.append(with_digest(recipe, images))
        for field, pixels in images.items():
            files.append(folder / field / f"{recipe.name}.png")
            write_image(files[-1], pixels)
    with naming(folder):
        flush(files)  # otherwise, a chunk could count as finished after a power failure although images are missing
    write_recipes(chunk.recipes, recipes)
    return len(recipes)


def _check_families(cfg: BuildConfig, splits: Sequence[Split]) -> None:
    """Raise UserError if there is only one autoencoder, since the candidates of a triplet need two."""
    families = open_families(cfg.cnn)
    for split in splits:
        own = FAMILIES[split.name]
        if split.kind == "2afc" and len(own) == 1 and len(families[own[0]].names) < 2:
            raise UserError(
                f"cnn={cfg.cnn}: only one autoencoder distorts, and a triplet of {split.path} needs two: train more:"
                " `make cnn-distortions COUNT=96 IMAGES=FOLDER`"
            )


def _make_split(cfg: BuildConfig, split: Split, photographs: Sequence[Photograph], run: Callable) -> None:
    folder, target = workplace_of(cfg, split), Path(cfg.out) / split.path
    if not photographs:
        raise UserError(f"{Path(cfg.out) / PHOTOGRAPHS}: no photograph of {split.phase} in it: restore the file")
    if not (folder / RECIPES).is_file():
        for name in (*IMAGE_FIELDS[split.kind], FINISHED):
            (folder / name).mkdir(parents=True, exist_ok=True)
        chunks = _chunks(cfg, split, photographs)
        left = [chunk for chunk in chunks if not chunk.recipes.is_file()]
        done = split.count - sum(len(chunk.indices) for chunk in left)
        with Progress(total=split.count, initial=done, desc=split.path, unit="example") as bar:
            for count in run(make_chunk, left):
                bar.update(count)
        write_sizes(folder, split)
        write_recipes(folder / RECIPES, [recipe for chunk in chunks for recipe in read_recipes(chunk.recipes)])
    shutil.rmtree(folder / FINISHED, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    flush([folder / RECIPES])  # the images were flushed with their chunks
    folder.rename(target)
    flush([target, target.parent, target.parent.parent])


def _chunks(cfg: BuildConfig, split: Split, photographs: Sequence[Photograph]) -> list[Chunk]:
    """All chunks of a split. Each photograph gives equally many examples, which are consecutive."""
    chunks = []
    for start in range(0, split.count, CHUNK):
        indices = range(start, min(start + CHUNK, split.count))
        chunks.append(Chunk(cfg, split, indices, [photographs[i * len(photographs) // split.count] for i in indices]))
    return chunks
