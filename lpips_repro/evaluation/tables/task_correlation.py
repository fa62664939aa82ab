"""Task correlation (paper, Table 4 and Figure 5): do the methods that do well on one task do well on the other?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lpips_repro.errors import UserError
from lpips_repro.evaluation.tables.table import QUANTILES

# Two points lie on a line whatever they are.
MIN_METHODS = 3


@dataclass(frozen=True)
class Correlation:
    """Pearson's rho over a number of methods, and the ends of its 95 % interval."""

    rho: float
    low: float
    high: float
    methods: int


def task_correlation(first: Sequence[float], second: Sequence[float], replicates: int, seed: int) -> Correlation:
    """How the scores of methods on two tasks go together, with a percentile bootstrap over the methods.

    A resample of methods that all have the same score on a task leaves rho undefined; another is drawn in its place.

    Args:
        first, second: a score for each method (N,) on each task.
        replicates: number of resamples; seed: of their generator.

    Raises:
        ValueError: for other shapes, or scores that are not finite.
        UserError: for fewer than 3 methods, or where all have the same score on a task.
    """
    scores = np.array([first, second], dtype=np.float64)
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise ValueError("expected a finite number for each method on both tasks")
    methods = scores.shape[1]
    if methods < MIN_METHODS:
        raise UserError(f"{methods} methods have scores on both tasks: a correlation takes at least {MIN_METHODS}")
    if not _vary(scores):
        raise UserError(f"{methods} methods, all with the same score on one task: their correlation is undefined")
    rhos = _resampled(scores, replicates, np.random.default_rng(seed))
    low, high = np.quantile(rhos, QUANTILES)
    return Correlation(float(pearson(*scores)), float(low), float(high), methods)


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's rho along the last axis; undefined (NaN, or anything) where x or y is constant along it."""
    x, y = (values - values.mean(axis=-1, keepdims=True) for values in (x, y))
    norms = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    rho: np.ndarray = np.clip((x * y).sum(axis=-1) / norms, -1, 1)
    return rho


def _resampled(scores: np.ndarray, replicates: int, generator: np.random.Generator) -> np.ndarray:
    rhos = np.empty(0)
    methods = scores.shape[1]
    while missing := replicates - len(rhos):
        drawn = scores[:, generator.integers(methods, size=(missing, methods))]
        rhos = np.append(rhos, pearson(*drawn[:, _vary(drawn)]))
    return rhos


def _vary(scores: np.ndarray) -> np.ndarray:
    """Whether scores (2, ..., N) differ from each other on both tasks."""
    found: np.ndarray = (scores != scores[..., :1]).any(axis=-1).all(axis=0)
    return found
