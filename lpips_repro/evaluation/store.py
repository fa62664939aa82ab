"""The distances of methods on splits, computed once and kept on disk.

A CSV per method and split (index, d0, d1, judge; or index, d, same), index counting the split's files in sorted order,
and a JSON next to it with the identity (all that the values depend on), their dtype and the digest of the CSV. The hash
of the identity is part of the file name, so another setting, weights file, dataset or code is another file. What is
stored is checked at every read; a file that fails is set aside, and counts as none.

While a split is computed, `NAME.float32.part` has the distances of its first examples, so that a run that is killed
loses the last minutes only.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.files import DTYPES, dtype_of, keep_damaged
from lpips_repro.evaluation.protocols import protocol_of
from lpips_repro.files import write_whole


class DistanceStore:
    """The distances under a folder.

    Args:
        root: the folder; made when first written to.
    """

    def __init__(self, root: Path):
        self.root = root

    def load(self, label: str, identity: dict[str, Any], split: PackedSplit) -> dict[str, np.ndarray] | None:
        """The stored distances of a method on a split by column, (N,) of the saved dtype, or None if there are none."""
        path = self.path(label, identity, split)
        if not path.with_suffix(".json").is_file():
            return None
        try:
            values = _read(path, split)
        except (OSError, ValueError) as error:
            keep_damaged(path, error)
            return None
        _state_observers(path.with_suffix(".json"), split)
        return values

    def begun(self, label: str, identity: dict[str, Any], split: PackedSplit) -> np.ndarray | None:
        """The distances of the first examples that an interrupted run left, (columns, n), or None."""
        for dtype in DTYPES:
            file = self._part(label, identity, split, dtype)
            if file.is_file():
                content = file.read_bytes()
                row = len(_columns(split)) * np.dtype(dtype).itemsize
                whole = content[: len(content) // row * row]  # a power cut may have left half a row
                return np.frombuffer(whole, dtype).reshape(-1, len(_columns(split))).T[:, : len(split)]
        return None

    def add(self, label: str, identity: dict[str, Any], split: PackedSplit, distances: np.ndarray, more: int) -> None:
        """Keep the distances of the first examples of a split; all of them together are written as a CSV.

        Args:
            distances: (columns, n), of all examples up to now; more: how many of them, the last, are new.
        """
        part = self._part(label, identity, split, str(distances.dtype))
        if distances.shape[1] == len(split):
            self.save(label, identity, split, dict(zip(_columns(split), distances, strict=True)))
            part.unlink(missing_ok=True)
            return
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("r+b" if part.is_file() else "wb") as file:
            file.seek((distances.shape[1] - more) * len(distances) * distances.itemsize)
            file.truncate()
            file.write(distances[:, -more:].T.tobytes())
            file.flush()
            os.fsync(file.fileno())

    def save(self, label: str, identity: dict[str, Any], split: PackedSplit, distances: dict[str, np.ndarray]) -> None:
        """Write distances; the JSON comes last and tells that the CSV is whole."""
        path = self.path(label, identity, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        (dtype,) = {values.dtype for values in distances.values()}
        lines = [",".join(("index", *distances, protocol_of(split).vote))]
        for index, row in enumerate(zip(*distances.values(), split.votes, strict=True)):
            # str of a NumPy number is the shortest text from which it is read back to the bit.
            lines.append(",".join((f"{index:06d}", *map(str, row))))
        text = "\n".join(lines) + "\n"
        write_whole(path, text)
        card = {**_identity(identity, split), "observers": split.card["observers"], "method": label}
        card |= {"count": len(split), "values": str(dtype)}
        card["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        write_whole(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")

    def path(self, label: str, identity: dict[str, Any], split: PackedSplit) -> Path:
        """The CSV for this method, identity and split."""
        key = hashlib.sha256(json.dumps(_identity(identity, split), sort_keys=True).encode()).hexdigest()[:12]
        return self.root / split.card["dataset"] / split.name.replace("/", "-") / f"{label}-{key}.csv"

    def _part(self, label: str, identity: dict[str, Any], split: PackedSplit, dtype: str) -> Path:
        return self.path(label, identity, split).with_suffix(f".{dtype}.part")


def _columns(split: PackedSplit) -> tuple[str, ...]:
    return protocol_of(split).distances


def _identity(identity: dict[str, Any], split: PackedSplit) -> dict[str, Any]:
    card = split.card
    where = {"split": split.name, "split_digest": card["digest"], "resize": card["resize"]}
    return {**identity, **where}


def _state_observers(file: Path, split: PackedSplit) -> None:
    """Say who judged, as it is stated now: nothing that is stored depends on it."""
    card = json.loads(file.read_text())
    if card["observers"] != split.card["observers"]:
        write_whole(file, json.dumps({**card, "observers": split.card["observers"]}, indent=2) + "\n")


def _read(path: Path, split: PackedSplit) -> dict[str, np.ndarray]:
    """The distances in a CSV; ValueError if it is not what was written for this split."""
    dtype, card = dtype_of(path.with_suffix(".json")), json.loads(path.with_suffix(".json").read_text())
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card.get("sha256"):
        raise ValueError("its digest is not the one in its .json")
    names = ("index", *_columns(split), protocol_of(split).vote)
    head, *lines = content.decode().splitlines()
    if head != ",".join(names):
        raise ValueError(f"expected the columns {','.join(names)}")
    values = np.loadtxt(lines, delimiter=",", ndmin=2, dtype=np.float64)
    if values.shape != (len(split), len(names)):
        raise ValueError(f"expected {len(split)} rows of {len(names)}")
    if not np.array_equal(values[:, 0], np.arange(len(split))):
        raise ValueError("the index is not 0, 1, 2 and so on")
    if not np.array_equal(values[:, -1].astype(np.float32), split.votes):
        raise ValueError("the votes are not those of the split")
    if np.isnan(values).any():
        raise ValueError("a value is not a number")
    return {name: values[:, k].astype(dtype) for k, name in enumerate(names[1:-1], 1)}
