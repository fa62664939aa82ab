"""A study that is open: its dataset and its row in the database, made when it is first opened."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from lpips_repro.collect.models import Item, Study
from lpips_repro.collect.settings import CollectConfig
from lpips_repro.collect.stimuli import Examples, digest_of
from lpips_repro.collect.store import Store
from lpips_repro.errors import UserError
from lpips_repro.progress import Progress

DATABASE = "study.db"
HUMAN, SIMULATED = "human", "simulated"


@dataclass(frozen=True)
class OpenStudy:
    """What all that happens in a study is done with.

    Attributes:
        id, kinds: of the study in the database, and the kinds of its items, "2afc" first; clock: seconds.
    """

    cfg: CollectConfig
    store: Store
    examples: Examples
    id: int
    observers: str
    kinds: tuple[str, ...]
    clock: Callable[[], float] = field(default=time.time)


def database_of(cfg: CollectConfig) -> str:
    """The URL of the database."""
    return cfg.database or f"sqlite:///{(Path(cfg.store) / DATABASE).absolute()}"


def open_study(cfg: CollectConfig, observers: str | None = HUMAN) -> OpenStudy:
    """Open the study that the settings name, or begin it.

    Args:
        cfg: settings; observers: "human" or "simulated"; None: those that it has, and it is not begun.

    Raises:
        UserError: if the dataset or the protocol is another one than it began with, or the observers are of another
            kind: people do not judge in a study of simulated workers.
    """
    examples = Examples.of(cfg)
    items = _items(cfg, examples)
    digest = hashlib.sha256("\n".join(f"{_place(one)} {one['digest']}" for one in items).encode()).hexdigest()
    store = Store(database_of(cfg))
    with store.write() as session:
        study = session.scalar(select(Study).where(Study.name == cfg.name))
        if study is None and observers is None:
            raise UserError(f"name={cfg.name}: no such study in {cfg.database or cfg.store}: `make collect` begins one")
        if study is None:
            settings = cfg.protocol
            study = Study(name=cfg.name, observers=observers, digest=digest, settings=settings, created_at=time.time())
            session.add(study)
            session.flush()
            session.execute(insert(Item), [{**one, "study_id": study.id, "taken": 0} for one in items])
        _check_same(cfg, study, digest, observers)
        return OpenStudy(
            cfg, store, examples, study.id, study.observers, tuple(dict.fromkeys(one["kind"] for one in items))
        )


def _items(cfg: CollectConfig, examples: Examples) -> list[dict[str, Any]]:
    found = []
    splits = sorted(examples.splits(), key=lambda split: split.kind)
    with Progress(total=sum(len(split.names) for split in splits), desc="reading the dataset", unit="example") as bar:
        for split in splits:
            for name in split.names:
                place = {"kind": split.kind, "phase": split.phase, "split": split.split, "name": name}
                digest = digest_of(examples.patches(**place))
                found.append({**place, "digest": digest, "target": cfg.target(split.kind, split.phase)})
                bar.update(1)
    return found


def _place(item: dict[str, Any]) -> str:
    return "{kind}/{phase}/{split}/{name}".format(**item)


def _check_same(cfg: CollectConfig, study: Study, digest: str, observers: str | None) -> None:
    """UserError if the study began with something else."""
    if study.digest != digest:
        raise UserError(
            f"name={cfg.name}: the study began with other images than {cfg.dataset} has now: restore them, or set"
            " name=NEW for another study"
        )
    for key, value in cfg.protocol.items():
        if study.settings.get(key) != value:
            raise UserError(
                f"{key}={value}: the study {cfg.name} began with {key}={study.settings.get(key)}: restore that, or set"
                " name=NEW for another study"
            )
    if observers not in (None, study.observers):
        raise UserError(
            f"name={cfg.name}: its observers are {study.observers}, not {observers}: set name=NEW for another study"
        )
