"""KADID-10k (Lin, Hosu, Saupe 2019): whole images under 25 types of distortion at 5 levels, with mean opinion scores.

ROOT/dmos.csv                   a line per image: dist_img,ref_img,dmos,var; the score is 1 to 5, higher is better
ROOT/images/I01.png             81 of 512 x 384 pixels
ROOT/images/I01_01_01.png       reference, type, level: 10,125
"""

import re
from pathlib import Path

from lpips_repro.datasets.mos.dataset import MosDataset, MosSettings
from lpips_repro.datasets.mos.images import DistortedImage
from lpips_repro.datasets.registry import register_dataset
from lpips_repro.errors import UserError
from lpips_repro.files import CsvLine, read_csv

PAGE = "https://database.mmsp-kn.de/kadid-10k-database.html"
SCORES = "dmos.csv"
NAME = re.compile(r"I(\d\d)_(\d\d)_(\d\d)\.png")
LOWEST, HIGHEST = 1.0, 5.0
LINES = (
    "expected dist_img,ref_img,dmos,var such as 'I01_01_01.png,I01.png,4.57,0.5', with a score from 1 to 5: restore the"
    f" file from {PAGE}"
)


@register_dataset("kadid10k", MosSettings)
class Kadid10k(MosDataset):
    """The images of KADID-10k, read from the unpacked files."""

    title = "KADID-10k"
    whole = (81, 10125)

    def read_images(self) -> list[DistortedImage]:
        """See `MosDataset`."""
        path = Path(self.settings.root, SCORES)
        if not path.is_file():
            raise UserError(
                f"{path}: missing: KADID-10k is downloaded by hand: unpack the archive of {PAGE} to this place, or"
                " set DATA_ROOT=FOLDER to the folder that has it"
            )
        images = [_image(path.parent / "images", line) for line in read_csv(path, LINES)]
        if not images or len({image.name for image in images}) < len(images):
            raise UserError(f"{path}: lists no image, or one twice: restore the file from {PAGE}")
        return sorted(images, key=lambda image: image.name)


def _image(folder: Path, line: CsvLine) -> DistortedImage:
    """The image of a line of the scores; UserError if a file is missing or the line is malformed."""
    name, score = NAME.fullmatch(line["dist_img"]), line.number("dmos")
    if not name or not LOWEST <= score <= HIGHEST or line["ref_img"] != f"I{name[1]}.png":
        raise UserError(f"{line.where}: {','.join(line.values())}: {LINES}")
    reference, distorted = folder / line["ref_img"], folder / line["dist_img"]
    for file in (reference, distorted):
        if not file.is_file():
            scores = folder.with_name(SCORES)
            raise UserError(f"{file}: missing, though {scores} lists it: unpack the archive of {PAGE} again")
    return DistortedImage(distorted.stem.lower(), reference, distorted, score, int(name[2]), int(name[3]))
