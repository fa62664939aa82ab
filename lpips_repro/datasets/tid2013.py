"""TID2013 (Ponomarenko et al. 2015): whole images under 24 types of distortion at 5 levels, with mean opinion scores.

ROOT/mos_with_names.txt                 a line an image: its mean opinion score (0 to 9, higher is better) and its name
ROOT/reference_images/I01.BMP           25 of 512 x 384 pixels
ROOT/distorted_images/i01_01_1.bmp      reference, type, level: 3000

The set mixes upper and lower case in all of these names, so none of them is told apart by it here.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lpips_repro.datasets.decoding import open_image
from lpips_repro.errors import UserError
from lpips_repro.progress import Progress

PAGE = "http://www.ponomarenko.info/tid2013.htm"
WHOLE = (25, 3000)  # references, distorted images
SCORES, REFERENCES, DISTORTED = "mos_with_names.txt", "reference_images", "distorted_images"
EXAMPLE = "5.51429 I01_01_1.bmp"
HIGHEST = 9.0
FORMATS = ("BMP", "PNG")  # its own, and what it may be converted to
LARGEST_SIDE = 4096  # of a scaled image, in pixels

LINE = re.compile(r"(\d+(?:\.\d+)?)\s+(\S+)")
NAME = re.compile(r"i(\d\d)_(\d\d)_(\d)\.bmp")


@dataclass(frozen=True)
class DistortedImage:
    """One distorted image.

    Attributes:
        name: its file's name in lower case, without suffix.
        reference, distorted: the files.
        mos: mean opinion score, 0 to 9; type, level: of the distortion.
    """

    name: str
    reference: Path
    distorted: Path
    mos: float
    type: int
    level: int


def read_tid2013(root: Path) -> list[DistortedImage]:
    """The distorted images that `mos_with_names.txt` names, those of a reference together, by type and level.

    Raises:
        UserError: naming the file, and the line where there is one, for what is missing or no score.
    """
    entries = _by_lower_case(root)
    for name in (SCORES, REFERENCES, DISTORTED):
        if name not in entries:
            raise UserError(
                f"{root / name}: missing: TID2013 is fetched by hand: unpack the archive of {PAGE} so that it is there,"
                " or name the folder that has it with DATA_ROOT=FOLDER"
            )
    scores = _read_scores(entries[SCORES])
    references, distorted = _by_lower_case(entries[REFERENCES]), _by_lower_case(entries[DISTORTED])
    named = {f"{name[:3]}.bmp" for name in scores}
    missing = [entries[REFERENCES] / name for name in sorted(named - references.keys())]
    missing += [entries[DISTORTED] / name for name in sorted(scores.keys() - distorted.keys())]
    if missing:
        raise UserError(
            f"{missing[0]}: missing (in lower or upper case), the first of {len(missing)} images that"
            f" {entries[SCORES]} names and that are not there: unpack the archive of {PAGE} again"
        )
    images = []
    for name in sorted(scores):
        _, kind, level = NAME.fullmatch(name).groups()
        where = references[f"{name[:3]}.bmp"], distorted[name]
        images.append(DistortedImage(name.removesuffix(".bmp"), *where, scores[name], int(kind), int(level)))
    return images


def is_whole(images: Sequence[DistortedImage]) -> bool:
    """Whether they are as many as TID2013 has."""
    return (len({image.reference for image in images}), len(images)) == WHOLE


def describe(images: Sequence[DistortedImage]) -> str:
    """How many there are, and whether that is all of TID2013."""
    words = f"{len({image.reference for image in images})} reference images, {len(images)} distorted"
    if is_whole(images):
        return f"{words}: all of TID2013"
    return f"{words}: NOT all of TID2013 ({WHOLE[0]} and {WHOLE[1]}): figures on it do not compare with published ones"


def load_image(path: Path, size: int) -> np.ndarray:
    """An image, uint8 (H, W, 3), its smaller side scaled to `size` pixels by Pillow's antialiased bilinear resize.

    Raises:
        UserError: naming the file, where it cannot be decoded or is no 8-bit RGB or grey image.
    """
    with open_image(path, FORMATS) as file:
        if file.mode not in ("RGB", "L", "P"):
            raise UserError(f"{path}: an image of mode {file.mode}: expected 8-bit RGB or grey: restore the file")
        scale = size / min(file.size)
        width, height = (round(side * scale) for side in file.size)
        if max(width, height) > LARGEST_SIDE:
            raise UserError(
                f"{path}: {file.width} x {file.height} pixels: with a smaller side of {size} it would have"
                f" {width} x {height}, and at most {LARGEST_SIDE} are allowed: restore the file"
            )
        image = file.convert("RGB")
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def digest_images(images: Sequence[DistortedImage]) -> str:
    """SHA-256 over the names and contents of all image files, with a progress bar on a terminal."""
    sha = hashlib.sha256()
    files = {image.reference: image.name[:3] for image in images} | {image.distorted: image.name for image in images}
    for path, name in Progress(files.items(), desc="reading TID2013", unit="image", leave=False):
        sha.update(f"{name} {path.stat().st_size}\n".encode())
        sha.update(path.read_bytes())
    return sha.hexdigest()


def _by_lower_case(folder: Path) -> dict[str, Path]:
    """What is in a folder, if it is one, by its name in lower case; hidden files are passed over."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name[0] == ".":
            continue
        if other := found.get(path.name.lower()):
            raise UserError(
                f"{path}: differs from {other.name} beside it in upper and lower case alone: move one elsewhere"
            )
        found[path.name.lower()] = path
    return found


def _read_scores(path: Path) -> dict[str, float]:
    """Mean opinion scores by file names in lower case."""
    scores: dict[str, float] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        where, mend = f"{path}, line {number}", f"restore the file from {PAGE}"
        words = LINE.fullmatch(line.strip())
        if not words:
            raise UserError(f"{where}: {line.strip()!r}: expected a score and a name, as in '{EXAMPLE}': {mend}")
        mos, name = float(words[1]), words[2].lower()
        if mos > HIGHEST:
            raise UserError(f"{where}: mean opinion score {words[1]}: expected one from 0 to {HIGHEST:g}: {mend}")
        if not NAME.fullmatch(name):
            raise UserError(f"{where}: name {words[2]!r}: expected iRR_TT_L.bmp, as in '{EXAMPLE}': {mend}")
        if name in scores:
            raise UserError(f"{where}: {words[2]} has a score already: {mend}")
        scores[name] = mos
    if not scores:
        raise UserError(f"{path}: names no image: expected lines as '{EXAMPLE}': restore the file from {PAGE}")
    return scores
