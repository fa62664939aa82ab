"""TID2013 (Ponomarenko et al. 2015): whole images under 24 types of distortion at 5 levels, with mean opinion scores.

ROOT/mos_with_names.txt                 a line per image: its mean opinion score (0 to 9, higher is better) and its name
ROOT/reference_images/I01.BMP           25 of 512 x 384 pixels
ROOT/distorted_images/i01_01_1.bmp      reference, type, level: 3000

The dataset mixes upper and lower case in these names, so that case is ignored here.
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
    """The images of TID2013, read from the unpacked files."""

    title = "TID2013"
    whole = (25, 3000)

    def read_images(self) -> list[DistortedImage]:
        """See `MosDataset`."""
        return read_tid2013(Path(self.settings.root))


def read_tid2013(root: Path) -> list[DistortedImage]:
    """The distorted images in `mos_with_names.txt`, ordered by reference, type and level.

    Raises:
        UserError: if a file is missing or a score is wrong. The message names the file and the line.
    """
    entries = by_lower_case(root)
    for name in (SCORES, REFERENCES, DISTORTED):
        if name not in entries:
            raise UserError(
                f"{root / name}: missing: TID2013 is downloaded by hand: unpack the archive of {PAGE} to this place,"
                " or set DATA_ROOT=FOLDER to the folder that has it"
            )
    scores = _read_scores(entries[SCORES])
    references, distorted = by_lower_case(entries[REFERENCES]), by_lower_case(entries[DISTORTED])
    named = {f"{name[:3]}.bmp" for name in scores}
    missing = [entries[REFERENCES] / name for name in sorted(named - references.keys())]
    missing += [entries[DISTORTED] / name for name in sorted(scores.keys() - distorted.keys())]
    if missing:
        raise UserError(
            f"{missing[0]}: missing (in lower or upper case), the first of {len(missing)} missing images of"
            f" {entries[SCORES]}: unpack the archive of {PAGE} again"
        )
    images = []
    for name in sorted(scores):
        _, kind, level = cast(re.Match[str], NAME.fullmatch(name)).groups()
        where = references[f"{name[:3]}.bmp"], distorted[name]
        images.append(DistortedImage(name.removesuffix(".bmp"), *where, scores[name], int(kind), int(level)))
    return images


def _read_scores(path: Path) -> dict[str, float]:
    """The mean opinion scores by file name in lower case."""
    scores: dict[str, float] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        where, advice = f"{path}, line {number}", f"restore the file from {PAGE}"
        words = LINE.fullmatch(line.strip())
        if not words:
            raise UserError(f"{where}: {line.strip()!r}: expected a score and a name, such as '{EXAMPLE}': {advice}")
        mos, name = float(words[1]), words[2].lower()
        if mos > HIGHEST:
            raise UserError(f"{where}: mean opinion score {words[1]}: expected one from 0 to {HIGHEST:g}: {advice}")
        if not NAME.fullmatch(name):
            raise UserError(f"{where}: name {words[2]!r}: expected iRR_TT_L.bmp, such as '{EXAMPLE}': {advice}")
        if name in scores:
            raise UserError(f"{where}: {words[2]} has a score already: {advice}")
        scores[name] = mos
    if not scores:
        raise UserError(f"{path}: lists no image: expected lines such as '{EXAMPLE}': restore the file from {PAGE}")
    return scores
