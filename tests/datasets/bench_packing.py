"""How fast BAPPS's val archives are packed, in how much memory, and how fast an epoch is then read.

    python -m tests.datasets.bench_packing FOLDER

Makes archives of BAPPS's exact val counts and layout in FOLDER/mirror once (2.3 GB), packs them with one worker a core,
and reads the smallest 2AFC split as the released loader does (PIL, Resize(64), ToTensor, Normalize) and from its packed
form, with the same number of DataLoader workers, alternating; medians of three.
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

from lpips_repro.datasets.bapps import COUNTS
from lpips_repro.datasets.members import read_members
from lpips_repro.datasets.torch_datasets import BAPPS2AFC
from lpips_repro.parallel import available_cores
from tests.datasets.archives import png, write_archives

SPLIT = ("2afc", "val", "frameinterp")
PACK = """
import sys
from pathlib import Path
from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.bapps import prepare_bapps
from lpips_repro.parallel import available_cores
from tests.datasets.small_bapps import small_settings
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    cfg = parse(small_settings(folder / "mirror", folder / "data"), DatasetConfig)
    prepare_bapps(cfg.data, "val", available_cores())
"""


class ReleasedLoader(Dataset):
    """The files as the released code decodes them."""

    def __init__(self, folder: Path):
        self.folder, self.names = folder, sorted(path.stem for path in (folder / "ref").iterdir())
        steps = [transforms.Resize(64), transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
        self.transform = transforms.Compose(steps)

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        name = self.names[index]
        images = (Image.open(self.folder / field / f"{name}.png").convert("RGB") for field in ("ref", "p0", "p1"))
        judge = torch.from_numpy(np.load(self.folder / "judge" / f"{name}.npy"))
        return *(self.transform(image) for image in images), judge


def peak_memory(process: subprocess.Popen, found: dict[str, int]) -> None:
    """The largest sum of private (not file-backed) memory over a process and its children, in bytes."""
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


def seconds(loader: DataLoader) -> float:
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start


def main(folder: Path) -> None:
    if not (folder / "mirror").is_dir():
        # Distinct patches would take an hour to encode and tell the packing apart in nothing.
        generator = np.random.default_rng(0)
        write_archives(folder / "mirror", COUNTS, images=[png(generator, detail=64) for _ in range(500)])
    workers = available_cores()
    script = folder / "pack.py"
    script.write_text(PACK)
    start, found = time.perf_counter(), {}
    process = subprocess.Popen([sys.executable, str(script), str(folder)], env={"PYTHONPATH": "."}, cwd=Path.cwd())
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

    files = folder / "files"
    with (folder / "mirror" / "twoafc_val.tar.gz").open("rb") as archive:
        for member in read_members(archive, folder / "mirror" / "twoafc_val.tar.gz", "2afc/"):
            if member.key == SPLIT:
                (files / member.field).mkdir(parents=True, exist_ok=True)
                (files / member.field / Path(member.path).name).write_bytes(member.content)
    packed = BAPPS2AFC(folder / "data" / "packed" / "bapps" / "exact" / "-".join(SPLIT))
    theirs = DataLoader(ReleasedLoader(files), batch_size=50, num_workers=workers)
    ours = DataLoader(packed, batch_size=50, num_workers=workers, collate_fn=packed.collate)
    alone = DataLoader(packed, batch_size=50, collate_fn=packed.collate)
    runs = [[seconds(loader) for loader in (theirs, ours, alone)] for _ in range(3)]
    released, with_workers, in_process = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"reading {len(packed)} triplets, {workers} workers: released {len(packed) / released:.0f}/s,", end=" ")
    print(f"packed {len(packed) / with_workers:.0f}/s: {released / with_workers:.1f} times as fast", end=" ")
    print(f"(without workers {len(packed) / in_process:.0f}/s: {released / in_process:.1f} times)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
