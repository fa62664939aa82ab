"""Correlation of the scores of methods on two tasks (paper, Table 4 and Figure 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lpips_repro.errors import UserError
from lpips_repro.evaluation.tables.table import QUANTILES

# Two points are always on a line.
MIN_METHODS = 3


@dataclass(frozen=True)
class Correlation:
    """Pearson's rho over the methods, the ends of its 95 % interval, and the number of methods."""

    rho: float
    low: float
    high: float
    methods: int


def task_correlation(first: Sequence[float], second: Sequence[float], replicates: int, seed: int) -> Correlation:
    """Return the correlation of the scores of methods on two tasks, with a percentile bootstrap over the methods.

    Rho is undefined for a resample whose methods all have the same score on a task; another is drawn instead.

    Args:
        first, second: the scores of the methods (N,) on the two tasks.
        replicates: number of resamples; seed: of their generator.

    Raises:
        ValueError: if the shapes differ, or scores are not finite.
        UserError: if there are fewer than 3 methods, or all have the same score on a task.
    """
    scores = np.array([first, second], dtype=np.float64)
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise ValueError("expected a finite score of each method on both tasks")
    methods = scores.shape[1]
    if methods < MIN_METHODS:
        raise UserError(f"{methods} methods have scores on both tasks: a correlation takes at least {MIN_METHODS}")
    if not _vary(scores):
        raise UserError(f"{methods} methods have the same score on one task: their correlation is undefined")
    rhos = _resampled(scores, replicates, np.random.default_rng(seed))
    low, high = np.quantile(rhos, QUANTILES)
    return Correlation(float(pearson(*scores)), float(low), float(high), methods)


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Pearson's rho along the last axis; the result is meaningless if x or y is constant along it."""
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
    """Return whether the scores (2, ..., N) of the N methods vary on both tasks."""
    found: np.ndarray = (scores != scores[..., :1]).any(axis=-1).all(axis=0)
    return found
