"""Comparing packed splits and archives of BAPPS with published figures (`make data-verify`)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from lpips_repro.datasets.bapps.local_archives import local_archives, recorded_sha256, remedy, remedy_for_a_change
from lpips_repro.datasets.bapps.prepare import is_packed, target
from lpips_repro.datasets.bapps.published import (
    ARCHIVES,
    COUNTS,
    DIFFERENT_JUDGMENTS,
    count_is_right,
    gigabytes,
    judgments_differ,
    read_manifest,
    size_warning,
)
from lpips_repro.datasets.bapps.settings import BappsConfig
from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD, DamagedSplit, open_split
from lpips_repro.datasets.packing.archive_members import ArchiveError, HashingReader, read_members
from lpips_repro.datasets.packing.archives import Key
from lpips_repro.datasets.registry import Finding


def verify_splits(cfg: BappsConfig, phases: Sequence[str]) -> Iterator[Finding]:
    """Compare packed splits with the published counts and judgments."""
    published = read_manifest(Path(cfg.manifest))
    for key, count in COUNTS.items():
        if key[1] not in phases:
            continue
        name, path = "/".join(key), target(cfg, key)
        expected = f"{count}" if key[:2] == ("2afc", "val") else f"about {count}"  # rounded to hundreds
        if not path.is_dir():
            yield Finding(name, "", expected, "", "missing", is_there=False)
            continue
        command = f"`make data SPLITS={key[1]}`"
        advice = f"move the folder {path} elsewhere and run {command} to pack it again"
        try:
            split = open_split(path, cfg.size)
            split.verify()
        except DamagedSplit as error:
            yield Finding(name, "", expected, "", f"DAMAGED: {error.why}: {advice}", is_bad=True)
            continue
        differ = judgments_differ(split, published)
        finding = Finding(name, f"{len(split)}", expected, split.card["digest"][:12], "good")
        if not count_is_right(key, len(split)):
            finding = finding._replace(verdict=f"WRONG COUNT: {advice}", is_bad=True)
        elif not is_packed(cfg, key):
            finding = finding._replace(verdict=f"OTHER SETTINGS: {command} packs it again", is_bad=True)
        elif differ:
            warning = DIFFERENT_JUDGMENTS.format(name)
            finding = finding._replace(verdict="JUDGMENTS DIFFER from those published", warning=warning)
        elif differ is not None:
            finding = finding._replace(verdict="good, judgments as published")
        yield finding


def verify_archives(cfg: BappsConfig, phases: Sequence[str]) -> Iterator[Finding]:
    """Compare archives with their SHA-256 at first use. Those not used yet are read completely."""
    recorded = recorded_sha256(Path(cfg.archives))
    for (kind, phase), archive in ARCHIVES.items():
        if phase not in phases:
            continue
        known, expected = recorded.get(archive.name, ""), f"about {archive.size / 1e9:.1f} GB"
        files = local_archives(cfg, archive.name)
        if not files:
            verdict = "missing (not needed after packing)"
            yield Finding(archive.name, "", expected, known[:12], verdict, is_there=False)
        for file in files:
            name, size = archive.name if file.parent == Path(cfg.archives) else str(file), file.stat().st_size
            advice = remedy(cfg, file, f"`make data SPLITS={phase}`")
            finding = Finding(name, gigabytes(size), expected, "", "", warning=size_warning(archive, file))
            try:
                with file.open("rb") as content, HashingReader(content, size, file.name, "checking") as reader:
                    wrong = "" if known else _wrong_counts(reader, file, archive.prefix, (kind, phase))
                    while reader.read(1 << 20):
                        pass
            except (ArchiveError, OSError) as error:
                yield finding._replace(verdict=f"DAMAGED: {error}: {advice}", is_bad=True)
                continue
            found = reader.sha256.hexdigest()
            if known and found != known:
                verdict = f"CHANGED since its first use: {remedy_for_a_change(cfg, file, advice)}"
            elif wrong:
                verdict = f"WRONG COUNT: {wrong}: {advice}"
            else:
                verdict = "good" if known else "good (never packed: read completely, counts as published)"
            yield finding._replace(digest=found[:12], verdict=verdict, is_bad=not verdict.startswith("good"))


def _wrong_counts(reader: HashingReader, file: Path, prefix: str, part: tuple[str, str]) -> str:
    """The splits of an archive whose counts are not as published, as text. It reads the whole archive.

    Raises:
        ArchiveError: if the archive is damaged, a member is refused, or a file has no counterpart.
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
