"""The settings of a study: `configs/collect.yaml`."""

import enum
import re
from dataclasses import dataclass
from typing import Any

from lpips_repro.config import Resize
from lpips_repro.config.checks import check_at_least, check_name, check_seed
from lpips_repro.errors import UserError


class Action(enum.Enum):
    """What `make collect` does."""

    serve = "serve"
    links = "links"
    simulate = "simulate"
    export = "export"


class Kind(enum.Enum):
    """The question that a link leads to."""

    twoafc = "2afc"
    jnd = "jnd"


@dataclass
class CollectConfig:
    """`configs/collect.yaml`, which explains each."""

    dataset: str
    do: Action
    name: str
    store: str
    database: str | None
    host: str
    port: int
    address: str | None
    admin: bool | None
    consent: str | None
    completion: str | None
    size: int
    resize: Resize
    train_votes: int
    val_votes: int
    jnd_votes: int
    twoafc_items: int
    jnd_items: int
    lease_minutes: int
    link_days: int
    count: int
    inattentive: float
    out: str | None
    packed: str
    seed: int

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_name("name", self.name)
        for key in (
            *("size", "train_votes", "val_votes", "jnd_votes", "twoafc_items", "jnd_items"),
            *("lease_minutes", "link_days", "count"),
        ):
            check_at_least(key, getattr(self, key), 1)
        if not 0 <= self.port < 2**16:
            raise UserError(f"port={self.port}: expected an integer from 0 to 65535")
        if not 0 <= self.inattentive <= 1:
            raise UserError(f"inattentive={self.inattentive}: expected a share in [0, 1]")
        for key in ("address", "completion"):
            value = getattr(self, key)
            if value is not None and not re.fullmatch(r"https?://[^\s\"'<>]+", value):
                raise UserError(f"{key}={value}: expected an address that begins with https:// or http://")

    @property
    def protocol(self) -> dict[str, Any]:
        """What may not change while a study runs."""
        keys = ("size", "train_votes", "val_votes", "jnd_votes", "twoafc_items", "jnd_items")
        return {**{key: getattr(self, key) for key in keys}, "resize": self.resize.value}

    def target(self, kind: str, phase: str) -> int:
        """How many judgments an item is to have."""
        return self.jnd_votes if kind == Kind.jnd.value else self.train_votes if phase == "train" else self.val_votes
