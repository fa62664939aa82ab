"""What a built dataset depends on: `dataset.json` and `photographs.csv`, which are written before any example."""

import csv
import hashlib
import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2

from lpips_repro.building.durable_files import flush
from lpips_repro.building.examples import FAMILIES, open_families, splits_of
from lpips_repro.building.photographs import Photograph, choose_photographs, left_out_of
from lpips_repro.config.building import BuildConfig
from lpips_repro.distortions import DISTORTIONS
from lpips_repro.errors import UserError
from lpips_repro.files import read_json, write_csv, write_whole
from lpips_repro.photographs.left_out import NAMED, counted, warn_of
from lpips_repro.versions import installed_version

log = logging.getLogger(__name__)

CARD, PHOTOGRAPHS = "dataset.json", "photographs.csv"
WORKPLACE = ".building"  # the folder in which splits are made
WHAT = {"traditional": "code of the traditional distortions", "cnn": "autoencoders"}  # entries that are digests


def begin(cfg: BuildConfig, names: Sequence[str], run: Callable) -> list[Photograph]:
    """The photographs of the dataset: those in its file if it was begun; otherwise choose them and write both files.

    Args:
        cfg: settings; names: names of all photographs; run: a `map` that keeps the order.

    Raises:
        UserError: if the folder holds something else or a dataset with other settings, or if there are too few
            photographs.
    """
    out = Path(cfg.out)
    if (out / CARD).is_file():
        return reopen(cfg, names)
    _check_empty(out)
    shutil.rmtree(out / WORKPLACE, ignore_errors=True)  # of another dataset, whose card was removed
    photographs = choose_photographs(cfg, names, run)
    _write_photographs(out / PHOTOGRAPHS, photographs)
    write_whole(out / CARD, json.dumps(_card(cfg, names), indent=2) + "\n")
    flush([out / PHOTOGRAPHS, out / CARD])
    _report(out, photographs, len(names))
    return photographs


def reopen(cfg: BuildConfig, names: Sequence[str]) -> list[Photograph]:
    """The photographs of a dataset that was begun; raises as `begin`."""
    out = Path(cfg.out)
    _check_same(cfg, _card(cfg, names))
    photographs = _read_photographs(out / PHOTOGRAPHS)
    _report(out, photographs, len(names))
    return photographs


def is_complete(cfg: BuildConfig) -> bool:
    """Whether the card and all splits exist."""
    out = Path(cfg.out)
    return (out / CARD).is_file() and all((out / split.path).is_dir() for split in splits_of(cfg))


def _card(cfg: BuildConfig, names: Sequence[str]) -> dict[str, Any]:
    """The card. It has no paths, so that the same dataset has the same card everywhere."""
    settings = {key: value for key, value in vars(cfg).items() if key not in ("images", "out", "cnn", "workers")}
    settings["splits"] = [split.value for split in cfg.splits]
    families = open_families(cfg.cnn)
    used = sorted({family for split in cfg.splits for family in FAMILIES[split.value]})
    listed = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return {
        "settings": settings,
        "photographs": {"number of photographs": len(names), "SHA-256 of their names": listed},
        "made_with": {
            **{family: families[family].digest for family in used},
            **{library: installed_version(library) for library in ("numpy", "pillow", *["torch"] * ("cnn" in used))},
            "opencv": cv2.__version__,
        },
        "severity": {name: [amount._asdict() for amount in one.amounts] for name, one in DISTORTIONS.items()},
    }


def _check_same(cfg: BuildConfig, card: dict[str, Any]) -> None:
    """Raise UserError, naming the difference, if the dataset was begun with something else."""
    path = Path(cfg.out) / CARD
    try:
        known = read_json(path)
        was = {**known["settings"], **known["photographs"], **known["made_with"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path}: not a readable card of a dataset: restore it, or set out=NEW") from error
    for key, value in {**card["settings"], **card["photographs"]}.items():
        if was.get(key) != value:
            raise UserError(
                f"{cfg.out}: was begun with {key} {was.get(key)}, now it is {value}: change it back, or set out=NEW for"
                " another dataset"
            )
    for key, value in card["made_with"].items():
        # A complete dataset may come from another version.
        if was.get(key) != value and not is_complete(cfg):
            what = f"{WHAT[key]} (digest" if key in WHAT else f"{key} (version"
            raise UserError(
                f"{cfg.out}: was begun with different {what} {str(was.get(key))[:12]}, now {str(value)[:12]}): finish"
                " it with those, or set out=NEW for another dataset"
            )


def _check_empty(out: Path) -> None:
    """Raise UserError if the folder holds something else."""
    names = sorted(path.name for path in out.iterdir() if path.name[0] != ".")
    if set(names) - {PHOTOGRAPHS}:  # a killed process may leave this file without a card
        raise UserError(f"{out}: holds {names[0]} and no dataset built here: set out to an empty or a new folder")


def _report(out: Path, photographs: Sequence[Photograph], found: int) -> None:
    counts = Counter(one.phase for one in photographs)
    phases = (counts["train"], counts["val"])
    log.info("%s, %d examined: train %d, val %d", counted(found), len(photographs), *phases)
    warn_of(left_out_of(photographs), out / PHOTOGRAPHS)
    near = [f"{one.name} and {one.near_copy}" for one in photographs if one.near_copy]
    if near:
        named = "; ".join(near[:NAMED]) + "; ..." * (len(near) > NAMED)
        log.warning(
            "%s nearly the same as one of train (full list: %s): %s: if they are copies, remove them from the folder of"
            " photographs, and set out=NEW",
            f"{counted(len(near))} of val {'looks' if len(near) == 1 else 'look'}",
            out / PHOTOGRAPHS,
            named,
        )


def _write_photographs(path: Path, photographs: Sequence[Photograph]) -> None:
    write_csv(path, (one.line() for one in photographs))


def _pixels(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(f"{text!r}: expected a number of pixels")
    return int(text)


def _read_photographs(path: Path) -> list[Photograph]:
    try:
        with path.open(newline="") as file:
            lines: list[dict[str, Any]] = list(csv.DictReader(file))
        sizes = [(_pixels(line.pop("width")), _pixels(line.pop("height"))) for line in lines]
        return [Photograph(**line, width=w, height=h) for line, (w, h) in zip(lines, sizes, strict=True)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: not readable ({error}): restore it, or set out=NEW") from error
