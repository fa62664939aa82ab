"""Simulated workers, labeled so, who judge a whole study for a dry run; some of them answer at random.

Their eyes are the simulated observers of the mini dataset, which tell nothing about human vision.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import select

from lpips_repro.collect.answers import Answer, store
from lpips_repro.collect.models import Item, Trial
from lpips_repro.collect.protocol import CHOICES, GAP_MS, ON_MS
from lpips_repro.collect.refusal import Refusal
from lpips_repro.collect.sessions import begin, consent, join
from lpips_repro.collect.stimuli import trial_images
from lpips_repro.collect.study import OpenStudy
from lpips_repro.datasets.mini.observers import choose_probability, perceptual_distance, same_probability

TIMING = [0.0, float(ON_MS), float(ON_MS + GAP_MS), float(2 * ON_MS + GAP_MS)]
MEDIAN_MS, SPREAD = 1200.0, 0.4  # of the responses, which are log-normal


class Simulated(NamedTuple):
    """A simulated worker: what the worker is called, and whether the pictures matter to the answers."""

    name: str
    attentive: bool


def workers_of(count: int, inattentive: float) -> list[Simulated]:
    """So many workers, of whom a share is inattentive, spread evenly."""
    return [Simulated(f"simulated {i}", round((i + 1) * inattentive) == round(i * inattentive)) for i in range(count)]


def judge_all(study: OpenStudy, worker: Simulated, rng: np.random.Generator) -> int:
    """All sessions that a worker gets; returns the number of answers."""
    identifier, answers = join(study, worker.name), 0
    consent(study, identifier)
    for kind in study.kinds:
        while (session := _next_session(study, identifier, kind)) is not None:
            trials, images = remaining(study, session, kind)
            choices = choices_of(kind, images, worker.attentive, rng)
            for trial, choice in zip(trials, choices, strict=True):
                response = float(MEDIAN_MS * np.exp(SPREAD * rng.normal()))
                timing = TIMING if kind == "jnd" else None
                store(study, identifier, Answer(session, trial, choice, response, timing))
            answers += len(trials)
    return answers


def choices_of(
    kind: str, images: Sequence[Mapping[str, np.ndarray]], attentive: bool, rng: np.random.Generator
) -> list[str]:
    """What a worker chooses in trials whose images (by place) are these; at least 16 pixels per side."""
    if not attentive:
        return [str(choice) for choice in rng.choice([*CHOICES[kind]], len(images))]

    def at(place: str) -> np.ndarray:
        return np.stack([one[place] for one in images])

    if kind == "jnd":
        probability = same_probability(perceptual_distance(at("first"), at("second")))
    else:
        left, right = (perceptual_distance(at("ref"), at(side)) for side in ("left", "right"))
        probability = choose_probability(left, right)
    names = {value: choice for choice, value in CHOICES[kind].items()}
    return [names[int(yes)] for yes in rng.random(len(images)) < probability]


def _next_session(study: OpenStudy, worker: int, kind: str) -> int | None:
    try:
        return begin(study, worker, kind, None)
    except Refusal:  # excluded, or one session is all that a worker has
        return None


def remaining(study: OpenStudy, session: int, kind: str) -> tuple[list[int], list[dict[str, np.ndarray]]]:
    """The numbers and the images of the trials that are left."""
    query = (
        select(Trial, Item)
        .join(Item, Item.id == Trial.source_id)
        .where(Trial.session_id == session, Trial.answer.is_(None))
        .order_by(Trial.number)
    )
    with study.store.read() as transaction:
        found = transaction.execute(query).all()
        images = [
            trial_images(kind, trial.shown, trial.swapped, study.examples.of_item(item), trial.id)
            for trial, item in found
        ]
        return [trial.number for trial, _ in found], images
