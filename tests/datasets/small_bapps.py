"""BAPPS at a hundredth of its size, for tests; also a script that fetches its val part and can be killed at any moment.

python -m tests.datasets.small_bapps MIRROR FOLDER [EXAMPLES]
"""

import sys
from pathlib import Path

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.bapps.prepare import prepare_bapps
from lpips_repro.datasets.bapps.published import ARCHIVES, COUNTS
from lpips_repro.datasets.commands import phases_of
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.entry_point import run
from tests.compose import CONFIGS, settings
from tests.datasets.archives import write_archives

# What counts as right; the published counts of train and jnd are rounded to hundreds, so a few examples count as 0.
SMALL = {key: 5 + index if key[:2] == ("2afc", "val") else 0 for index, key in enumerate(COUNTS)}
# Any size of less than a twentieth of a gigabyte is published as none.
TINY = {part: archive._replace(size=0) for part, archive in ARCHIVES.items()}
FEW = {key: count or 4 for key, count in SMALL.items()}


def make_mirror(folder: Path, monkeypatch) -> Path:
    """A folder with the three archives of a small BAPPS, whose counts and sizes are taken for the published ones."""
    for key, count in SMALL.items():
        monkeypatch.setitem(COUNTS, key, count)
    for part, archive in TINY.items():
        monkeypatch.setitem(ARCHIVES, part, archive)
    write_archives(folder, FEW, phases=("train", "val"), size=64)
    return folder


def small_settings(mirror: str, folder: Path, *overrides: str, config: str = "dataset"):
    """Settings under which everything is written into a folder."""
    return settings(
        config,
        f"data.mirrors=['{mirror}']",
        f"data.root={folder}/files",
        f"data.packed={folder}/packed",
        f"data.archives={folder}/archives",
        f"data.manifest={CONFIGS.parent}/experiments/reference/bapps_val_manifest.json",
        f"experiments={folder}/experiments",
        "data.resize=exact",
        "data.workers=1",
        *overrides,
    )


def prepare_phases(cfg: DatasetConfig) -> list[PackedSplit]:
    """The packed splits of the phases that the settings name."""
    dataset = dataset_of(cfg.data)
    return dataset.prepare(phases_of(dataset, cfg.splits))


def main() -> None:
    mirror, folder, *examples = sys.argv[1:]
    counts = {key: int(examples[0]) if examples and key[:2] == ("2afc", "val") else n for key, n in SMALL.items()}
    COUNTS.update(counts)
    ARCHIVES.update(TINY)
    # Not `make data`'s own function, which imports torch: that takes longer than all the rest here.
    prepare_bapps(parse(small_settings(mirror, Path(folder)), DatasetConfig).data, "val", workers=1)


if __name__ == "__main__":
    run(main)
