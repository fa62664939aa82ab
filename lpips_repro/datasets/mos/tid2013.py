"""TID2013 (Ponomarenko et al. 2015): whole images under 24 types of distortion at 5 levels, with mean opinion scores.

ROOT/mos_with_names.txt                 a line per image: its mean opinion score (0 to 9, higher is better) and its name
ROOT/reference_images/I01.BMP           25 of 512 x 384 pixels
ROOT/distorted_images/i01_01_1.bmp      reference, type, level: 3000

The set mixes upper and lower case in all of these names, so none of them is told apart by it here.
"""

import re
from pathlib import Path
from typing import cast

from lpips_repro.datasets.mos.dataset import MosDataset, MosSettings
from lpips_repro.datasets.mos.images import DistortedImage, by_lower_case
from lpips_repro.datasets.registry import register_dataset
from lpips_repro.errors import UserError

PAGE = "http://www.ponomarenko.info/tid2013.htm"
SCORES, REFERENCES, DISTORTED = "mos_with_names.txt", "reference_images", "distorted_images"
EXAMPLE = "5.51429 I01_01_1.bmp"
HIGHEST = 9.0

LINE = re.compile(r"(\d+(?:\.\d+)?)\s+(\S+)")
NAME = re.compile(r"i(\d\d)_(\d\d)_(\d)\.bmp")


@register_dataset("tid2013", MosSettings)
class Tid2013(MosDataset):
    """The images of TID2013, read from the files that were unpacked."""

    title = "TID2013"
    whole = (25, 3000)

    def read_images(self) -> list[DistortedImage]:
        """See `MosDataset`."""
        return read_tid2013(Path(self.settings.root))


def read_tid2013(root: Path) -> list[DistortedImage]:
    """The distorted images that `mos_with_names.txt` names, those of a reference together, by type and level.

    Raises:
        UserError: naming the file, and the line where there is one, for what is missing or no score.
    """
    entries = by_lower_case(root)
    for name in (SCORES, REFERENCES, DISTORTED):
        if name not in entries:
            raise UserError(
                f"{root / name}: missing: TID2013 is fetched by hand: unpack the archive of {PAGE} so that it is there,"
                " or name the folder that has it with DATA_ROOT=FOLDER"
            )
    scores = _read_scores(entries[SCORES])
    references, distorted = by_lower_case(entries[REFERENCES]), by_lower_case(entries[DISTORTED])
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
        _, kind, level = cast(re.Match[str], NAME.fullmatch(name)).groups()
        where = references[f"{name[:3]}.bmp"], distorted[name]
        images.append(DistortedImage(name.removesuffix(".bmp"), *where, scores[name], int(kind), int(level)))
    return images


def _read_scores(path: Path) -> dict[str, float]:
    """Mean opinion scores by file names in lower case."""
    scores: dict[str, float] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        where, advice = f"{path}, line {number}", f"restore the file from {PAGE}"
        words = LINE.fullmatch(line.strip())
        if not words:
            raise UserError(f"{where}: {line.strip()!r}: expected a score and a name, as in '{EXAMPLE}': {advice}")
        mos, name = float(words[1]), words[2].lower()
        if mos > HIGHEST:
            raise UserError(f"{where}: mean opinion score {words[1]}: expected one from 0 to {HIGHEST:g}: {advice}")
        if not NAME.fullmatch(name):
            raise UserError(f"{where}: name {words[2]!r}: expected iRR_TT_L.bmp, as in '{EXAMPLE}': {advice}")
        if name in scores:
            raise UserError(f"{where}: {words[2]} has a score already: {advice}")
        scores[name] = mos
    if not scores:
        raise UserError(f"{path}: names no image: expected lines as '{EXAMPLE}': restore the file from {PAGE}")
    return scores
