"""Finding a split by its folder or name, without settings: `find_split("mini/val/traditional", "2afc")`."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lpips_repro.config import DatasetConfig, DataSettings, Splits, parse
from lpips_repro.config.paths import CONFIGS, at_home
from lpips_repro.datasets.folder import Folder
from lpips_repro.datasets.packed import IMAGE_FIELDS, PHASES, open_split
from lpips_repro.datasets.packing.layout import read_split
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError, expected
from lpips_repro.parallel import is_importing_main


def find_split(where: "str | Path | Split", kind: str) -> Split:
    """The split at a path or of a name.

    Args:
        where: a split; the folder of a packed split; the folder of a split in the BAPPS layout, such as
            `ROOT/2afc/val/cnn`, which is packed into `data/packed` as with `DATA=folder`; or dataset, phase and split
            of a dataset in `configs/data`, such as "mini/val/cnn". Mini is made if it is missing. Nothing is
            downloaded.
        kind: kind of the split, "2afc" or "jnd", if the name or the folder does not tell.

    Raises:
        UserError: if there is no such split, or if it is damaged.
    """
    if isinstance(where, Split):
        return where
    folder = Path(at_home(str(where)))
    if (folder / "card.json").is_file():
        return open_split(folder)
    if folder.is_dir():
        return _of_folder(folder.resolve(), kind)
    return _of_dataset(str(where), kind)


def _of_folder(folder: Path, kind: str) -> Split:
    """A split in the BAPPS layout, packed if it is not yet."""
    if splits := sorted(path for one in IMAGE_FIELDS for path in folder.glob(f"{one}/*/*") if path.is_dir()):
        raise UserError(f"{folder}: a dataset: choose one of its splits, such as {splits[0]}")
    in_layout = folder.parent.name in PHASES and folder.parent.parent.name in IMAGE_FIELDS
    kind, phase = (folder.parent.parent.name, folder.parent.name) if in_layout else (kind, "val")
    root = folder.parents[2] if in_layout else folder  # part of the packed split's path
    (packed,) = Folder(_settings("folder", str(root))).pack([read_split(folder, kind, phase)], workers=0)
    return packed


def _of_dataset(name: str, kind: str) -> Split:
    """A split of a dataset in `configs/data`, such as "mini/val/cnn"."""
    dataset_name, _, rest = name.partition("/")
    phase, _, split = rest.partition("/")
    files = sorted((CONFIGS / "data").glob("*.yaml"))
    known = [file.stem for file in files if not OmegaConf.is_missing(OmegaConf.load(file), "root")]
    if dataset_name not in known or phase not in PHASES or not split:
        raise UserError(
            f"{name}: neither a folder nor the name of a split: expected a name such as mini/val/cnn of one of the"
            f" datasets {', '.join(known)}"
        )
    if is_importing_main():  # it would wait for its parent, which makes the dataset
        raise UserError(f'{name}: it is made in several processes: put the call under `if __name__ == "__main__":`')
    dataset = dataset_of(_settings(dataset_name))
    to_fetch = dataset.to_fetch([phase])
    splits = dataset.find([phase]) if to_fetch else dataset.prepare([phase])
    by_name = {one.card["split"]: one for one in splits if one.card["kind"] == kind}
    if split not in by_name:
        raise UserError(f"{name}: {dataset_name} has no such {kind} split: {expected(split, by_name)}")
    return by_name[split]


def _settings(dataset: str, root: str | None = None) -> DataSettings:
    """The settings of a dataset in `configs/data`."""
    data: Any = OmegaConf.load(CONFIGS / "data" / f"{dataset}.yaml")
    if root is not None:
        data.root = root
    whole = OmegaConf.create({"data": data, "splits": Splits.val.value, "experiments": "experiments"})
    settings: DataSettings = parse(whole, DatasetConfig).data
    return settings
