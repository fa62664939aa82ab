"""Time and memory to pack BAPPS's val archives, and to read an epoch of a packed split.

    python -m lpips_repro.benchmark.packing FOLDER

Writes archives with the counts and the layout of BAPPS's val archives to FOLDER/mirror (2.3 GB), and packs them into
FOLDER/data with one worker per core. Both are skipped if they exist already. Then reads a 2AFC split as the released
loader decodes it (PIL, Resize(64), ToTensor), and from its packed form. Both give batches of 50 as floats in [0, 1]
from a plain DataLoader with the same number of worker processes, whose start counts in every epoch. The two alternate;
results are medians of three runs. A run is one epoch of the files and five of the packed split.
"""

import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from lpips_repro.benchmark.bapps_stand_ins import png, write_archives
from lpips_repro.config.paths import CONFIGS
from lpips_repro.datasets.bapps.published import ARCHIVES, COUNTS
from lpips_repro.datasets.packing.archive_members import read_members
from lpips_repro.datasets.torch_datasets import BAPPS2AFC
from lpips_repro.parallel import available_cores

SPLIT = ("2afc", "val", "traditional")
RUNS = 3
PACKED_EPOCHS = 5  # per run: one is too short to time
FOLDERS = {"root": "files", "packed": "packed", "archives": "archives"}  # in FOLDER/data, by setting
PACK = """
import sys
from lpips_repro.benchmark.composed_settings import composed
from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.bapps.prepare import prepare_bapps
from lpips_repro.parallel import available_cores
if __name__ == "__main__":
    cfg = parse(composed("dataset", *sys.argv[1:]), DatasetConfig)
    prepare_bapps(cfg.data, "val", available_cores())
"""


class ReleasedLoader(Dataset):
    """A dataset of image files, decoded as in the released code."""

    def __init__(self, folder: Path):
        self.folder, self.names = folder, sorted(path.stem for path in (folder / "ref").iterdir())
        self.transform = transforms.Compose([transforms.Resize(64), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        name = self.names[index]
        images = (Image.open(self.folder / field / f"{name}.png").convert("RGB") for field in ("ref", "p0", "p1"))
        judge = torch.from_numpy(np.load(self.folder / "judge" / f"{name}.npy"))
        return *(self.transform(image) for image in images), judge


def peak_memory(process: subprocess.Popen, found: dict[str, int]) -> None:
    """Put the peak memory (without mapped files) of a process and its children into `found`, in bytes."""
    while process.poll() is None:
        total = 0
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            except OSError:
                continue
            if str(process.pid) in (lines["Pid"].strip(), lines["PPid"].strip()):
                total += int(lines.get("RssAnon", "0 kB").split()[0]) * 1024
        found["peak"] = max(found.get("peak", 0), total)
        time.sleep(0.05)


def pack(folder: Path, workers: int) -> None:
    """Pack the archives in a new process, and print rate and memory."""
    script, data = folder / "pack.py", folder / "data"
    script.write_text(PACK)
    settings = [f"data.mirrors=['{folder / 'mirror'}']", f"experiments={data / 'experiments'}", "data.resize=exact"]
    settings += [f"data.{key}={data / name}" for key, name in FOLDERS.items()]
    found: dict[str, int] = {}
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, str(script), *settings], env={"PYTHONPATH": "."}, cwd=CONFIGS.parent)
    watcher = threading.Thread(target=peak_memory, args=(process, found))
    watcher.start()
    if process.wait():
        sys.exit("packing failed")
    watcher.join()
    duration = time.perf_counter() - start
    images = sum(count * (3 if key[0] == "2afc" else 2) for key, count in COUNTS.items() if key[1] == "val")
    size = sum(path.stat().st_size for path in (folder / "mirror").iterdir())
    print(f"packing {images} images of {size / 1e9:.2f} GB with {workers} workers: {images / duration:.0f} images/s")
    print(f"peak private memory of all processes: {found['peak'] / 1e6:.0f} MB")


def unpack(archive: Path, files: Path) -> None:
    """Write the files of one split."""
    partial = files.with_suffix(".partial")
    with archive.open("rb") as stream:
        for member in read_members(stream, archive, "2afc/"):
            if member.key == SPLIT:
                (partial / member.field).mkdir(parents=True, exist_ok=True)
                (partial / member.field / Path(member.path).name).write_bytes(member.content)
    partial.rename(files)


def epoch_seconds(dataset: Dataset, workers: int, epochs: int) -> float:
    """Return the mean seconds of an epoch."""
    loader = DataLoader(dataset, batch_size=50, num_workers=workers)
    start = time.perf_counter()
    for _ in range(epochs):
        for _ in loader:
            pass
    return (time.perf_counter() - start) / epochs


def compare(released: ReleasedLoader, packed: BAPPS2AFC, workers: int) -> None:
    """Print how fast an epoch of the files and of the packed split is read."""
    runs = [(epoch_seconds(released, workers, 1), epoch_seconds(packed, workers, PACKED_EPOCHS)) for _ in range(RUNS)]
    theirs, ours = (statistics.median(column) for column in zip(*runs, strict=True))
    ratios = ", ".join(f"{a / b:.1f}" for a, b in runs)
    count = len(packed)
    print(f"reading {count} triplets with {workers} workers: released {count / theirs:.0f}/s,", end=" ")
    print(f"packed {count / ours:.0f}/s: {theirs / ours:.1f} times as fast (runs: {ratios})")


def main(folder: Path) -> None:
    """Make and pack the archives unless they exist, and read a split."""
    mirror, files = folder / "mirror", folder / "files"
    packed = folder / "data" / "packed" / "bapps" / "exact" / "-".join(SPLIT)
    if not mirror.is_dir():
        # Images repeat: distinct ones would take an hour to encode, and change no rate.
        generator = np.random.default_rng(0)
        write_archives(mirror, COUNTS, images=[png(generator, detail=64) for _ in range(500)])
    workers = available_cores()
    if packed.is_dir():
        print(f"{packed}: packed already: name another folder to time the packing")
    else:
        pack(folder, workers)
    if not files.is_dir():
        unpack(mirror / ARCHIVES[SPLIT[:2]].name, files)
    for number in (0, workers):
        compare(ReleasedLoader(files), BAPPS2AFC(packed), number)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
