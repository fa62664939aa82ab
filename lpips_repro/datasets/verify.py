"""Fetching a dataset (`make data`) and checking what is on disk (`make data-verify`)."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig
from tabulate import tabulate

from lpips_repro.config import BappsConfig, DatasetConfig, FolderConfig, Splits, Tid2013Config, parse
from lpips_repro.datasets.archive import Key
from lpips_repro.datasets.bapps import is_packed, target
from lpips_repro.datasets.local import local_archives, recorded_sha256, remedy, remedy_for_a_change
from lpips_repro.datasets.members import ArchiveError, HashingReader, read_members
from lpips_repro.datasets.packed import IMAGE_FIELDS, PHASES, VOTE_FIELD, DamagedSplit, PackedSplit, open_split
from lpips_repro.datasets.prepare import prepare
from lpips_repro.datasets.published import (
    ARCHIVES,
    COUNTS,
    DIFFERENT_JUDGMENTS,
    count_is_right,
    gigabytes,
    judgments_differ,
    read_manifest,
    size_warning,
)
from lpips_repro.datasets.tid2013 import describe, read_tid2013
from lpips_repro.errors import UserError

log = logging.getLogger(__name__)


class Finding(NamedTuple):
    """A line of the table of verdicts (the first five), and what becomes of it."""

    what: str
    count: str  # of examples, or an archive's size
    expected: str
    digest: str
    verdict: str
    is_there: bool = True
    is_bad: bool = False
    # No errors: published are rounded sizes, and digests that were taken of others' result files.
    warning: str | None = None


def fetch_dataset(composed: DictConfig) -> None:
    """Fetch, check and pack what is missing of a dataset, and print what there is.

    Raises:
        UserError: where it is not to be had; TID2013 is fetched by hand, and used as it is.
    """
    cfg = parse(composed, DatasetConfig)
    if isinstance(cfg.data, Tid2013Config):
        print(f"{cfg.data.root}: {describe(read_tid2013(Path(cfg.data.root)))}")
        return
    splits = prepare_phases(cfg)
    rows = [(s.name, len(s), s.card["observers"], s.card["resize"], s.card["digest"][:12], s.path) for s in splits]
    print(tabulate(rows, headers=("split", "count", "observers", "resize", "digest", "packed in"), tablefmt="simple"))


def phases_of(splits: Splits) -> tuple[str, ...]:
    """The phases that a setting names."""
    return PHASES if splits is Splits.all else (splits.value,)


def prepare_phases(cfg: DatasetConfig) -> list[PackedSplit]:
    """The packed splits of the phases that the settings name."""
    phases = phases_of(cfg.splits)
    if cfg.splits is Splits.all and type(cfg.data) is FolderConfig:  # which need not have both
        there = [phase for phase in PHASES if any(Path(cfg.data.root, kind, phase).is_dir() for kind in IMAGE_FIELDS)]
        phases = there or PHASES
    return prepare(cfg.data, *phases)


def verify_dataset(composed: DictConfig) -> None:
    """Check every packed split and archive of BAPPS on disk and print a table of verdicts.

    Raises:
        UserError: where something is not as it should be, after the table.
    """
    cfg = parse(composed, DatasetConfig)
    if not isinstance(cfg.data, BappsConfig):
        raise UserError(f"data-verify with data={cfg.data.name}: only bapps has published counts: use DATA=bapps")
    phases = phases_of(cfg.splits)
    findings = [*_verify_splits(cfg.data, phases), *_verify_archives(cfg.data, phases)]
    headers = ("what", "count", "expected", "digest", "verdict")
    print(tabulate([finding[:5] for finding in findings], headers, tablefmt="simple", colalign=("left", "right")))
    for finding in findings:
        if finding.warning:
            log.warning("%s", finding.warning)
    if bad := [finding.what for finding in findings if finding.is_bad]:
        raise UserError(f"not as it should be: {', '.join(bad)}: see the verdicts above")
    if not any(finding.is_there for finding in findings):
        command = "make data" if cfg.splits is Splits.all else f"make data SPLITS={cfg.splits.value}"
        raise UserError(f"nothing of BAPPS is there to verify ({' and '.join(phases)}): run `{command}`")


def _verify_splits(cfg: BappsConfig, phases: tuple[str, ...]) -> Iterable[Finding]:
    published = read_manifest(Path(cfg.manifest))
    for key, count in COUNTS.items():
        if key[1] not in phases:
            continue
        name, path = "/".join(key), target(cfg, key)
        expected = f"{count}" if key[:2] == ("2afc", "val") else f"about {count}"  # published rounded to hundreds
        if not path.is_dir():
            yield Finding(name, "", expected, "", "not there", is_there=False)
            continue
        command = f"`make data SPLITS={key[1]}`"
        mend = f"move the folder {path} elsewhere and run {command} to pack it again"
        try:
            split = open_split(path)
            split.verify()
        except DamagedSplit as error:
            yield Finding(name, "", expected, "", f"DAMAGED: {error.why}: {mend}", is_bad=True)
            continue
        differ = judgments_differ(split, published)
        finding = Finding(name, f"{len(split)}", expected, split.card["digest"][:12], "good")
        if not count_is_right(key, len(split)):
            finding = finding._replace(verdict=f"WRONG COUNT: {mend}", is_bad=True)
        elif not is_packed(cfg, key):
            finding = finding._replace(verdict=f"OTHER SETTINGS: {command} packs it again", is_bad=True)
        elif differ:
            warning = DIFFERENT_JUDGMENTS.format(name)
            finding = finding._replace(verdict="JUDGMENTS DIFFER from those published", warning=warning)
        elif differ is not None:
            finding = finding._replace(verdict="good, judgments as published")
        yield finding


def _verify_archives(cfg: BappsConfig, phases: tuple[str, ...]) -> Iterable[Finding]:
    """Compare archives with their SHA-256 at first use; those not used yet are read through."""
    recorded = recorded_sha256(Path(cfg.archives))
    for (kind, phase), archive in ARCHIVES.items():
        if phase not in phases:
            continue
        known, expected = recorded.get(archive.name, ""), f"about {archive.size / 1e9:.1f} GB"
        files = local_archives(cfg, archive.name)
        if not files:
            verdict = "not there (not needed once packed)"
            yield Finding(archive.name, "", expected, known[:12], verdict, is_there=False)
        for file in files:
            name, size = archive.name if file.parent == Path(cfg.archives) else str(file), file.stat().st_size
            mend = remedy(cfg, file, f"`make data SPLITS={phase}`")
            finding = Finding(name, gigabytes(size), expected, "", "", warning=size_warning(archive, file))
            try:
                with file.open("rb") as content, HashingReader(content, size, file.name, "checking") as reader:
                    wrong = "" if known else _wrong_counts(reader, file, archive.prefix, (kind, phase))
                    while reader.read(1 << 20):
                        pass
            except (ArchiveError, OSError) as error:
                yield finding._replace(verdict=f"DAMAGED: {error}: {mend}", is_bad=True)
                continue
            found = reader.sha256.hexdigest()
            if known and found != known:
                verdict = f"CHANGED since its first use: {remedy_for_a_change(cfg, file, mend)}"
            elif wrong:
                verdict = f"WRONG COUNT: {wrong}: {mend}"
            else:
                verdict = "good" if known else "good (never packed: read through, counts as published)"
            yield finding._replace(digest=found[:12], verdict=verdict, is_bad=not verdict.startswith("good"))


def _wrong_counts(reader: HashingReader, file: Path, prefix: str, part: tuple[str, str]) -> str:
    """The splits of an archive whose counts are not as published, after reading all of it.

    Raises:
        ArchiveError: where the archive is damaged, a member is refused, or a file has no counterpart.
    """
    names: defaultdict[Key, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for member in read_members(reader, file, prefix):
        names[member.key][member.field].add(member.name)
    counts = {key: 0 for key in COUNTS if key[:2] == part}
    for key, fields in names.items():
        every = set().union(*fields.values())
        counts[key] = len(every)
        for field in (*IMAGE_FIELDS[key[0]], VOTE_FIELD[key[0]]):
            if missing := every - fields[field]:
                raise ArchiveError(
                    f"{file}: {'/'.join(key)}/{field} has no file {min(missing)} ({len(missing)} missing)"
                )
    return ", ".join(
        f"{'/'.join(key)} {count} (expected {COUNTS.get(key, 'no such split')})"
        for key, count in counts.items()
        if not count_is_right(key, count)
    )
