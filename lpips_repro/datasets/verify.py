"""Fetching a dataset (`make data`) and checking what is on disk (`make data-verify`)."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig
from tabulate import tabulate

from lpips_repro.config import BappsConfig, DatasetConfig, FolderConfig, Splits, parse
from lpips_repro.datasets.bapps import (
    ARCHIVES,
    COUNTS,
    DIFFERENT_JUDGMENTS,
    count_is_right,
    judgments_differ,
    read_manifest,
    recorded_sha256,
    target,
)
from lpips_repro.datasets.layout import PHASES
from lpips_repro.datasets.packed import IMAGE_FIELDS, PackedSplit, open_split
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError

log = logging.getLogger(__name__)

# A warning and no error: the published digests were taken of others' result files, never of the archives.
DIFFER = "JUDGMENTS DIFFER from those published"


def fetch_dataset(composed: DictConfig) -> None:
    """Fetch, check and pack what is missing of a dataset, and print what there is."""
    splits = prepare_phases(parse(composed, DatasetConfig))
    rows = [(s.name, len(s), s.card["observers"], s.card["resize"], s.card["digest"][:12], s.path) for s in splits]
    print(tabulate(rows, headers=("split", "count", "observers", "resize", "digest", "packed in"), tablefmt="simple"))


def prepare_phases(cfg: DatasetConfig) -> list[PackedSplit]:
    """The packed splits of the phases that the settings name."""
    phases = PHASES if cfg.splits is Splits.all else (cfg.splits.value,)
    if cfg.splits is Splits.all and type(cfg.data) is FolderConfig:  # which need not have both
        there = [phase for phase in PHASES if any(Path(cfg.data.root, kind, phase).is_dir() for kind in IMAGE_FIELDS)]
        phases = there or PHASES
    return [split for phase in phases for split in prepare(cfg.data, cfg.seed, phase)]


def verify_dataset(composed: DictConfig) -> None:
    """Check every packed split and archive of BAPPS on disk and print a table of verdicts.

    Raises:
        UserError: where something is not as it should be, after the table.
    """
    cfg = parse(composed, DatasetConfig)
    if not isinstance(cfg.data, BappsConfig):
        raise UserError(f"data-verify with data={cfg.data.name}: only bapps has published counts: use DATA=bapps")
    rows = [*_verify_splits(cfg.data, cfg.splits), *_verify_archives(cfg.data)]
    print(tabulate(rows, headers=("what", "count", "expected", "digest", "verdict"), tablefmt="simple"))
    for what, *_, verdict in rows:
        if verdict == DIFFER:
            log.warning("%s", DIFFERENT_JUDGMENTS.format(what))
    bad = [row[0] for row in rows if row[-1] != DIFFER and not row[-1].startswith(("good", "not "))]
    if bad:
        raise UserError(f"not as it should be: {', '.join(bad)}: see the verdicts above")
    if all(row[-1].startswith("not there") for row in rows):
        raise UserError("nothing of BAPPS is there to verify: run `make data`")


def _verify_splits(cfg: BappsConfig, splits: Splits) -> Iterable[tuple]:
    packed, published = Path(cfg.packed) / "bapps" / cfg.resize.value, read_manifest(Path(cfg.manifest))
    for key, count in COUNTS.items():
        if splits is not Splits.all and key[1] != splits.value:
            continue
        expected = f"{count}" if key[:2] == ("2afc", "val") else f"about {count}"  # published rounded to hundreds
        path = target(packed, key)
        if not path.is_dir():
            yield "/".join(key), "", expected, "", "not there"
            continue
        try:
            split = open_split(path)
            split.verify()
        except UserError as error:
            yield "/".join(key), "", expected, "", f"DAMAGED: {error}"
            continue
        verdict = "good"
        if not count_is_right(key, len(split)):
            verdict = "WRONG COUNT"
        elif (differ := judgments_differ(split, published)) is not None:
            verdict = DIFFER if differ else "good, judgments as published"
        yield "/".join(key), len(split), expected, split.card["digest"][:12], verdict


def _verify_archives(cfg: BappsConfig) -> Iterable[tuple]:
    recorded = recorded_sha256(Path(cfg.archives))
    for archive in ARCHIVES.values():
        file = Path(cfg.archives) / archive.name
        known = recorded.get(archive.name, "")
        if not file.is_file():
            yield archive.name, "", "", known[:12], "not there (not needed once packed)"
            continue
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        verdict = "good" if found == known else "CHANGED since its first use" if known else "not checked: packing will"
        yield archive.name, "", "", found[:12], verdict
