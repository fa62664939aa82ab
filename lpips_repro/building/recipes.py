"""The recipe of an example: everything that is needed to make it again, as a row of a Parquet file."""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from lpips_repro.building.patches import Crop
from lpips_repro.datasets.packed import IMAGE_FIELDS
from lpips_repro.distortions.family import Application
from lpips_repro.errors import UserError
from lpips_repro.files import new_file, parse_json
from lpips_repro.versions import OWN, installed_version, package_version

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError:
    pa = None

LIBRARIES = ("numpy", "pillow", "torch")


@dataclass(frozen=True)
class Recipe:
    """How an example is made.

    Attributes:
        split: path of its split, such as "2afc/train/traditional"; name: name of its files, without suffix.
        image: path of the photograph in its folder; image_sha256: SHA-256 of that file.
        crop: the square of the photograph.
        size, margin: pixels per side of the patch, and pixels around it.
        p0, p1: the distortions that are applied to the reference, in this order. p0 of a JND pair has none: it is the
            reference itself.
        pixels_sha256: SHA-256 of the pixels of its images, in the order ref, p0, p1 (2AFC) or p0, p1 (JND).
    """

    split: str
    name: str
    image: str
    image_sha256: str
    crop: Crop
    size: int
    margin: int
    p0: tuple[Application, ...]
    p1: tuple[Application, ...]
    pixels_sha256: str = ""

    @property
    def kind(self) -> str:
        """ "2afc" or "jnd"."""
        return self.split.partition("/")[0]


def check_pyarrow() -> None:
    """Raise UserError if the package that reads and writes Parquet files is missing."""
    if pa is None:
        raise UserError("recipes are Parquet files, which need pyarrow: run pip install 'lpips_repro[build]'")


def write_recipes(path: Path, recipes: Sequence[Recipe]) -> None:
    """Write recipes to a file; equal recipes give equal bytes."""
    rows = [_row(recipe) for recipe in recipes]
    made_with = {
        OWN: package_version(OWN),
        **{library: installed_version(library) or "" for library in LIBRARIES},
        "opencv": cv2.__version__,
        "machine": platform.machine(),
    }
    table = pa.Table.from_pylist(rows, schema=_schema().with_metadata(made_with))
    with new_file(path) as file:
        parquet.write_table(table, file, compression="zstd")


def read_recipes(path: Path) -> list[Recipe]:
    """The recipes in a file.

    Raises:
        UserError: if the file cannot be read, or holds something else.
    """
    check_pyarrow()
    try:
        rows = parquet.read_table(path, schema=_schema()).to_pylist()
        return [_recipe(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a readable file of recipes ({reason}): restore it") from error


def _schema() -> Any:
    application = {"family": pa.string(), "name": pa.string(), "parameters": pa.string(), "seed": pa.int64()}
    applications = pa.list_(pa.struct(list(application.items())))
    return pa.schema(
        {
            **{"split": pa.string(), "name": pa.string(), "image": pa.string(), "image_sha256": pa.string()},
            **{"left": pa.int32(), "top": pa.int32(), "side": pa.int32(), "mirrored": pa.bool_()},
            **{"size": pa.int32(), "margin": pa.int32()},
            **{"p0": applications, "p1": applications, "pixels_sha256": pa.string()},
        }
    )


def _row(recipe: Recipe) -> dict[str, Any]:
    row = {**vars(recipe), **recipe.crop._asdict()}
    del row["crop"]
    for candidate in ("p0", "p1"):
        steps = [one._asdict() for one in row[candidate]]
        row[candidate] = [{**step, "parameters": json.dumps(step["parameters"], sort_keys=True)} for step in steps]
    return row


def _recipe(row: dict[str, Any]) -> Recipe:
    _check_values(row)
    crop = Crop(**{key: row.pop(key) for key in Crop._fields})
    for candidate in ("p0", "p1"):
        row[candidate] = tuple(map(_application, row[candidate]))
    recipe = Recipe(crop=crop, **row)
    if recipe.kind not in IMAGE_FIELDS:
        raise ValueError(f"split {recipe.split}: expected 2afc/... or jnd/...")
    return recipe


def _application(step: dict[str, Any]) -> Application:
    _check_values(step)
    parameters = parse_json(step["parameters"])
    if not isinstance(parameters, dict) or step["seed"] < 0:
        raise ValueError(f"{step['name']} with parameters {step['parameters']} and seed {step['seed']}")
    return Application(**{**step, "parameters": parameters})


def _check_values(row: dict[str, Any]) -> None:
    """Raise ValueError if a value is missing, which Parquet allows."""
    for name, value in row.items():
        if value is None:
            raise ValueError(f"no {name}")
