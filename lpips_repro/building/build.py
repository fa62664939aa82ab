"""`make build-dataset`: from a folder of photographs to a dataset in the BAPPS layout, without judgments.

    OUT/dataset.json                             settings, and what severities are in physical units
    OUT/photographs.csv                          photographs: their phase, or why they are left out
    OUT/2afc/train/traditional/ref/000000.png    and p0, p1
    OUT/2afc/train/traditional/recipes.parquet   how each example was made

A split is made in chunks in the hidden folder `.building`, where a chunk that is finished has a file of its recipes,
and is moved to its place when it is complete. What is finished is not made again after an interruption.
"""

import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from omegaconf import DictConfig

from lpips_repro.building.card import PHOTOGRAPHS, WORKPLACE, begin, is_complete, reopen
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
from lpips_repro.datasets.mini.workers import map_over_processes
from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD
from lpips_repro.datasets.packing.layout import RECIPES
from lpips_repro.datasets.registry import MOST_WORKERS
from lpips_repro.errors import UserError
from lpips_repro.files.locks import exclusive
from lpips_repro.parallel import available_cores
from lpips_repro.progress import Progress

CHUNK = 100  # examples that are finished at a time
FINISHED = "finished"


class Chunk(NamedTuple):
    """Some consecutive examples of a split, for a worker to make, and the photograph of each."""

    cfg: BuildConfig
    split: Split
    indices: range
    photographs: Sequence[Photograph]

    @property
    def recipes(self) -> Path:
        """The file that says that it is finished."""
        return workplace_of(self.cfg, self.split) / FINISHED / f"{self.indices.start:06d}.parquet"


def build_dataset(composed: DictConfig) -> Path:
    """Build what the composed settings (`configs/build_dataset.yaml`) describe, or what is missing of it.

    Returns:
        The folder of the dataset.

    Raises:
        UserError: if it holds something else or a dataset of other settings, or there are too few photographs.
    """
    check_pyarrow()
    cfg = parse(composed, BuildConfig)
    out, images = Path(cfg.out), Path(cfg.images)
    names = list_photographs(images)
    if out.resolve().is_relative_to(images.resolve()):
        raise UserError(f"out={out}: is in the folder of photographs, where it would be taken for more of them")
    splits = splits_of(cfg)
    _check_families(cfg, splits)
    if is_complete(cfg):  # it may be on a disk that can only be read
        reopen(cfg, names)
    else:
        _complete(cfg, names, splits)
    shutil.rmtree(out / WORKPLACE, ignore_errors=True)
    _report(cfg, splits)
    return out


def _complete(cfg: BuildConfig, names: Sequence[str], splits: Sequence[Split]) -> None:
    """Make the splits that are missing."""
    out, workers = Path(cfg.out), cfg.workers or min(available_cores(), MOST_WORKERS)
    check_writable("out", out)
    with exclusive(out), map_over_processes(workers, str(out), "workers") as run:
        photographs = begin(cfg, names, run)
        for split in splits:
            if not (out / split.path).is_dir():
                _make_split(cfg, split, [one for one in photographs if one.phase == split.phase], run)


def _report(cfg: BuildConfig, splits: Sequence[Split]) -> None:
    """Say what there is, and what comes next for splits without judgments."""
    counts = ", ".join(f"{split.path} ({split.count})" for split in splits)
    judged = all((Path(cfg.out) / split.path / VOTE_FIELD[split.kind]).is_dir() for split in splits)
    state = "with judgments"
    if not judged:
        state = f"without judgments: collect them, or run `make simulate OUT={shlex.quote(cfg.out)}`"
    print(f"{cfg.out}: complete: {counts}: {state}")


def workplace_of(cfg: BuildConfig, split: Split) -> Path:
    """The folder that a split is made in."""
    return Path(cfg.out) / WORKPLACE / split.path.replace("/", "-")


def make_chunk(chunk: Chunk) -> int:
    """Make some examples, then the file of their recipes; returns how many."""
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
            _, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))
            files.append(folder / field / f"{recipe.name}.png")
            files[-1].write_bytes(encoded.tobytes())
    flush(files)  # or a power cut could leave a chunk that counts as finished on images that were never written
    write_recipes(chunk.recipes, recipes)
    return len(recipes)


def _check_families(cfg: BuildConfig, splits: Sequence[Split]) -> None:
    """UserError if there is one autoencoder alone: the candidates of a triplet are of two."""
    families = open_families(cfg.cnn)
    for split in splits:
        own = FAMILIES[split.name]
        if split.kind == "2afc" and len(own) == 1 and len(families[own[0]].names) < 2:
            raise UserError(
                f"cnn={cfg.cnn}: one autoencoder alone distorts, and a triplet of {split.path} takes two: train more of"
                " them: `make cnn-distortions COUNT=96 IMAGES=FOLDER`"
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
        write_recipes(folder / RECIPES, [recipe for chunk in chunks for recipe in read_recipes(chunk.recipes)])
    shutil.rmtree(folder / FINISHED, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    flush([folder / RECIPES])  # the images were with their chunks
    folder.rename(target)
    flush([target, target.parent, target.parent.parent])


def _chunks(cfg: BuildConfig, split: Split, photographs: Sequence[Photograph]) -> list[Chunk]:
    """All chunks of a split, to which each photograph gives equally many examples, one after the other."""
    chunks = []
    for start in range(0, split.count, CHUNK):
        indices = range(start, min(start + CHUNK, split.count))
        chunks.append(Chunk(cfg, split, indices, [photographs[i * len(photographs) // split.count] for i in indices]))
    return chunks
