"""The distances of methods on splits, computed once and kept on disk.

There is one CSV per method and split (index, d0, d1, judge; index, d, same; or image, distance, mos), where index is
the position of an example in sorted order. A JSON next to it has the identity (everything that the values depend on),
their dtype and the digest of the CSV. The hash of the identity is part of the file name, so that another setting,
weights file, dataset or code is another file. Files are checked at each read. A damaged file is set aside, and its
distances are computed again.

While a split is computed, `NAME.float32.part` has the distances of its first examples, so that a killed run loses only
the last minutes.
"""

import contextlib
import glob
import hashlib
import json
import os
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from lpips_repro import provenance
from lpips_repro.datasets.split import Split
from lpips_repro.evaluation.protocols import protocol_of
from lpips_repro.files import keep_damaged, naming, read_json, write_whole

DTYPES = ("float32", "float64")
# The entries of an identity that change with versions of the program or libraries.
VERSIONS = {**provenance.VERSIONS, "reader": "the code that reads images"}


class DistanceStore:
    """The stored distances in a folder.

    Args:
        root: the folder, which is made at the first write.
    """

    def __init__(self, root: Path):
        self.root = root

    def load(self, label: str, identity: dict[str, Any], split: Split) -> dict[str, np.ndarray] | None:
        """The stored distances of a method on a split by column, (N,), in the stored dtype, or None."""
        path = self.path(label, identity, split)
        if not path.with_suffix(".json").is_file():
            return None
        try:
            values, votes, observers = _read(path, label, identity, split)
        except (OSError, ValueError) as error:
            said = f"{path}: damaged distances ({error})"
            keep_damaged(path, path.with_suffix(".json"), said=said, then="computed again")
            return None
        # Distances do not depend on observers, and those of whole images not on votes: both are updated in the file.
        if observers != split.card["observers"] or not np.array_equal(votes, split.votes):
            with contextlib.suppress(OSError):  # a read-only store also works
                self.save(label, identity, split, values)
        return values

    def earlier(self, label: str, identity: dict[str, Any], split: Split) -> set[str]:
        """The changes since an earlier version of the program or libraries stored these distances.

        Returns:
            Keys of `VERSIONS`; empty if no such distances are stored.
        """
        changed = set()
        now = json.loads(json.dumps({**identity, **split.identity}))
        for file in (self.root / split.card["dataset"]).glob(f"*/{glob.escape(label)}-*.json"):
            with contextlib.suppress(OSError, ValueError):
                card = read_json(file, finite=False) if file.is_file() else None
                if isinstance(card, dict) and _is_same(card, now, split):
                    changed |= {key for key in VERSIONS.keys() & now.keys() if card.get(key) != now[key]}
        return changed

    def begun(self, label: str, identity: dict[str, Any], split: Split) -> np.ndarray | None:
        """The distances of the first examples from an interrupted run, (columns, n), or None."""
        for dtype in DTYPES:
            part = self._part(label, identity, split, dtype)
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                size, sha256 = itemgetter("bytes", "sha256")(read_json(_card_of(part)))
                content = part.read_bytes()[:size]  # values without a card are computed again
                if hashlib.sha256(content).hexdigest() == sha256:
                    return np.frombuffer(content, dtype).reshape(-1, len(_columns(split))).T[:, : len(split)]
                said = f"{part}: changed since it was written"
                keep_damaged(part, _card_of(part), said=said, then="computed again from the beginning")
        return None

    def add(self, label: str, identity: dict[str, Any], split: Split, distances: np.ndarray, more: int) -> None:
        """Store the distances of the first examples of a split, or the CSV if they are all of its examples.

        Args:
            distances: (columns, n) of all examples so far; more: the number of new ones at the end.
        """
        part = self._part(label, identity, split, str(distances.dtype))
        if distances.shape[1] == len(split):
            self.save(label, identity, split, dict(zip(_columns(split), distances, strict=True)))
            part.unlink(missing_ok=True)
            _card_of(part).unlink(missing_ok=True)
            return
        part.parent.mkdir(parents=True, exist_ok=True)
        content = distances.T.tobytes()
        with naming(part), part.open("r+b" if part.is_file() else "wb") as file:
            file.seek((distances.shape[1] - more) * len(distances) * distances.itemsize)
            file.truncate()
            file.write(content[file.tell() :])
            file.flush()
            os.fsync(file.fileno())
        card = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        write_whole(_card_of(part), json.dumps(card) + "\n")

    def save(self, label: str, identity: dict[str, Any], split: Split, distances: dict[str, np.ndarray]) -> None:
        """Write distances. The JSON is written last and marks the CSV as complete."""
        path = self.path(label, identity, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        (dtype,) = {values.dtype for values in distances.values()}
        lines = [",".join((split.key, *distances, protocol_of(split).vote))]
        for key, *row in zip(split.keys, *distances.values(), split.votes, strict=True):
            # str of a NumPy number is the shortest text that is read back exactly.
            lines.append(",".join((key, *map(str, row))))
        text = "\n".join(lines) + "\n"
        write_whole(path, text)
        card = {**identity, **split.identity, "observers": split.card["observers"], "method": label}
        card |= {"count": len(split), "values": str(dtype)}
        card["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        write_whole(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")

    def path(self, label: str, identity: dict[str, Any], split: Split) -> Path:
        """The CSV of a method, identity and split."""
        key = hashlib.sha256(json.dumps({**identity, **split.identity}, sort_keys=True).encode()).hexdigest()[:12]
        return self.root / str(split.card["dataset"]) / split.name.replace("/", "-") / f"{label}-{key}.csv"

    def _part(self, label: str, identity: dict[str, Any], split: Split, dtype: str) -> Path:
        return self.path(label, identity, split).with_suffix(f".{dtype}.part")


def _card_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _columns(split: Split) -> tuple[str, ...]:
    return protocol_of(split).distances


def _is_same(card: dict[str, Any], now: dict[str, Any], split: Split) -> bool:
    """Whether a card has the same data, method and settings as an identity, apart from versions."""
    if "images_digest" in card:  # an earlier format for whole images
        name = f"{split.name.rpartition('/')[0]}/{card.get('size')}"
        card = {**card, "split": name, "split_digest": card["images_digest"], "resize": split.card["resize"]}
    return all(card.get(key) == value for key, value in now.items() if key not in VERSIONS)


def _read(
    path: Path, label: str, identity: dict[str, Any], split: Split
) -> tuple[dict[str, np.ndarray], np.ndarray, object]:
    """The distances in a CSV, the votes, and who judged; ValueError if the file is not the one that was written."""
    card = read_json(path.with_suffix(".json"), finite=False)
    asked = json.loads(json.dumps({**identity, **split.identity, "method": label}))
    if not isinstance(card, dict) or any(card.get(key) != value for key, value in asked.items()):
        raise ValueError("its .json is of other distances")
    dtype = card.get("values")
    if dtype not in DTYPES:
        raise ValueError("its .json has no known dtype of the values")
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")  # opening a FIFO waits for its writer
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card.get("sha256"):
        raise ValueError("its digest differs from the one in its .json")
    head, *lines = content.decode().splitlines()
    values, votes = parse_distances(head, lines, split, protocol_of(split).vote)
    votes = votes.astype(split.votes.dtype)
    if split.digest_has_votes and not np.array_equal(votes, split.votes):
        raise ValueError("its votes differ from those of the split")
    return {name: column.astype(dtype) for name, column in values.items()}, votes, card.get("observers")


def parse_distances(
    head: str, lines: Sequence[str], split: Split, *more: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The distances in the lines of a CSV by column, and its last column, each float64 (N,).

    Args:
        head: the first line; split: the split; more: names of columns after those of the distances.

    Raises:
        ValueError: if the columns differ, or if they do not have one number per item of the split, in order.
    """
    names = [split.key, *protocol_of(split).distances, *more]
    if [name.strip() for name in head.split(",")] != names:
        raise ValueError(f"expected the columns {','.join(names)}")
    if len(lines) != len(split):
        raise ValueError(f"{len(lines)} lines: expected {len(split)}, one for each {split.item} of {split.name}")
    cells = [line.split(",") for line in lines]
    if not split.has_keys([first for first, *_ in cells]):
        raise ValueError(f"the column {split.key} differs from the items of {split.name} or their order")
    values = np.array([others for _, *others in cells], np.float64)
    if values.shape != (len(split), len(names) - 1):
        raise ValueError(f"expected {len(names)} numbers in each line")
    if np.isnan(values).any():
        raise ValueError("a value is not a number")
    return {name: values[:, k] for k, name in enumerate(protocol_of(split).distances)}, values[:, -1]
