"""TID2013 (paper, appendix C): how well distances rank distorted images as people's mean opinion scores do.

The paper tests "at different resolutions, using {128, 192, 256, 384, 512} for the smaller dimension" and shows
Spearman's correlation averaged over them, as bars without figures (Figure 12). It names no interpolation: here it is
Pillow's antialiased bilinear, as the released code resizes BAPPS. TID2013's smaller side has 384 pixels: 384 is the
image as it is, and 512 is enlarged. The average is that of the correlations at the five sizes.
"""

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from omegaconf import DictConfig

from lpips_repro.config import EvaluateConfig
from lpips_repro.datasets.mos.dataset import MosDataset
from lpips_repro.datasets.mos.images import DistortedImage
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.evaluation.bootstrap import QUANTILES
from lpips_repro.evaluation.distances import Engine
from lpips_repro.evaluation.image_distances import ImageDistanceStore
from lpips_repro.evaluation.image_results import ImageResults
from lpips_repro.evaluation.methods import Method
from lpips_repro.evaluation.other_data import keep_other_tables
from lpips_repro.evaluation.protocols.mos import MOS
from lpips_repro.evaluation.rank_correlation import MEASURES, ReferenceBootstrap, rank_correlation
from lpips_repro.evaluation.tables import Row, Table, method_row, settings_of
from lpips_repro.evaluation.trained import by_seeds
from lpips_repro.evaluation.write import terminal_table, write_tables
from lpips_repro.files import written_together
from lpips_repro.runs.record import record_run

log = logging.getLogger(__name__)


def evaluate_tid2013(
    cfg: EvaluateConfig, composed: DictConfig, methods: Sequence[Method], device: torch.device, ranks: Ranks
) -> None:
    """Write and print the table of whole images with mean opinion scores.

    Raises:
        UserError: for a file of the dataset that is missing or damaged.
    """
    dataset = cast(MosDataset, dataset_of(cfg.data))
    with ranks.first_before_others():
        images = dataset.read_images()
        if len({image.mos for image in images}) == 1:
            raise UserError(f"{cfg.data.root}: all images have the same mean opinion score: nothing to correlate with")
        if ranks.first:
            level = logging.INFO if dataset.is_whole(images) else logging.WARNING
            log.log(level, "%s: %s", cfg.data.root, dataset.describe_images(images))
    # By itself nothing is compiled: five sizes would be five compilations of each network.
    engine = Engine(device, getattr(torch, cfg.dtype.value), bool(cfg.compile))
    store = ImageDistanceStore(Path(cfg.experiments) / "distances" / cfg.data.name)
    results = ImageResults(engine, store, images, cfg.batch_size, ranks)
    results.add(methods, cfg.data.sizes)
    if not ranks.first:
        return
    log.info(results.summary())
    folder = Path(cfg.experiments) / cfg.name
    protocol = copy.copy(MOS)  # under the name of the dataset
    protocol.title, protocol.file = dataset.title, dataset.title.lower()
    data = {"images": f"{len(images)} images {results.common['images_digest'][:12]}"}
    keep_other_tables(folder, data, protocol.file)
    groups = [len(group) for group in results.groups]
    bootstrap = ReferenceBootstrap(np.array([image.mos for image in images]), groups, cfg.bootstrap, cfg.seed)
    common = {
        **{"images": len(images), "references": len(groups), "resize": "pil_bilinear"},
        "bootstrap": {"replicates": cfg.bootstrap, "seed": cfg.seed},
    }
    rows = [_row(seeds, results, bootstrap, cfg.data.sizes, common) for seeds in by_seeds(methods)]
    columns = protocol.columns([str(size) for size in cfg.data.sizes])
    table = Table(protocol, rows, columns, dict.fromkeys(columns, len(images)), caption_of(dataset, images))
    with written_together(folder) as new:
        record_run(new, composed)
        files = write_tables(new, [table])
    print(terminal_table(table))
    print(f"written: {', '.join(str(folder / file.name) for file in files)}\n")


def caption_of(dataset: MosDataset, images: Sequence[DistortedImage]) -> str:
    """What the figures are, and whether they are those of all of the dataset."""
    references = len({image.reference for image in images})
    return " ".join(
        (
            "Rank correlation of mean opinion scores with the negated distance (1: the same order), Kendall's as tau-b,"
            " at a smaller side of so many pixels and averaged.",
            f"Intervals: 95 % bootstrap over the {references} reference images, as images of one are not independent.",
            *[f"{dataset.describe_images(images)}."] * (not dataset.is_whole(images)),
        )
    )


def _row(
    seeds: Sequence[Method],
    results: ImageResults,
    bootstrap: ReferenceBootstrap,
    sizes: Sequence[int],
    common: Mapping[str, Any],
) -> Row:
    """The row of a method; of one trained with several seeds, the mean over them."""
    failed = next((results.not_run[one.label] for one in seeds if one.label in results.not_run), "")
    row = method_row(seeds, "human", failed)
    if failed:
        return row
    row.settings = settings_of(seeds, [results.identity[one.label] for one in seeds], common)
    scores: dict[str, list[float]] = {}
    replicates: dict[str, np.ndarray] = {}
    reasons: dict[str, list[int]] = {}
    for size in sizes:
        found = _at(size, seeds, results, bootstrap)
        if isinstance(found, str):
            reasons.setdefault(found, []).append(size)
            continue
        for measure in MEASURES:
            scores[f"{measure}_{size}"], replicates[f"{measure}_{size}"] = found[measure]
    if not reasons:
        for measure in MEASURES:
            columns = [f"{measure}_{size}" for size in sizes]
            scores[measure] = np.mean([scores[column] for column in columns], axis=0)
            replicates[measure] = np.mean([replicates[column] for column in columns], axis=0)
    row.note = "; ".join(f"not run at {', '.join(map(str, at))} pixels: {reason}" for reason, at in reasons.items())
    row.scores = {column: float(np.mean(values)) for column, values in scores.items()}
    if len(bootstrap.starts) > 1:  # one reference alone says nothing of others
        row.interval = {column: tuple(np.nanquantile(values, QUANTILES)) for column, values in replicates.items()}
    if len(seeds) > 1:
        row.spread = {column: float(np.std(values, ddof=1)) for column, values in scores.items()}
    return row


def _at(
    size: int, seeds: Sequence[Method], results: ImageResults, bootstrap: ReferenceBootstrap
) -> str | Mapping[str, tuple[list[float], np.ndarray]]:
    """By measure the correlation of every seed and the mean over seeds of each resample's; or why there is none."""
    for one in seeds:
        if size in results.failed[one.label]:
            return results.failed[one.label][size]
    distances = [results.distances[one.label][size] for one in seeds]
    if any(len(set(values)) == 1 for values in map(np.ndarray.tolist, distances)):
        return "all distances are the same, and so in no order"
    mos = np.array([image.mos for image in results.images])
    singles = [rank_correlation(values, mos) for values in distances]
    resampled = [bootstrap.replicates(values) for values in distances]
    return {
        measure: ([one[measure] for one in singles], np.mean([one[measure] for one in resampled], axis=0))
        for measure in MEASURES
    }
