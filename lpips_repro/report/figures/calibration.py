"""Dependence of 2AFC scores on the agreement of observers, and fit of the binomial model of the likelihood score."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols.twoafc import human_twoafc, twoafc_credits
from lpips_repro.evaluation.protocols.twoafc_likelihood import decision_probability, negative_log_likelihood
from lpips_repro.report.figures.style import (
    PAGE,
    Picture,
    in_lines,
    in_style,
    legend_below,
    look_of,
    name_observers,
    panels,
)

LEVELS = 6  # largest number of levels of agreement; more are merged
MARKERS = "o^sDvP"
GRAYS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
LINE = 0.17  # height of a method in inches
BINS = 10
WRAP = 20  # characters per line of a title
SQUARE, NARROWEST, WIDEST = 1.45, 1.05, 1.4  # height, smallest and largest width of a panel of the fit, in inches
NORMAL = 1.96  # standard errors on each side of a 95 % interval


@dataclass(frozen=True)
class Judged:
    """The distances of a method on 2AFC splits, with the votes.

    Attributes:
        label, group: as in the tables.
        splits: by split, d0, d1 and the share of judges who chose p1, (N,) each.
    """

    label: str
    group: str
    splits: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


@in_style
def unanimity(methods: Sequence[Judged], observers: str = "", width: float = PAGE) -> Picture:
    """Return a figure of the 2AFC score of each method by the share of judges in the majority, over all splits.

    Dashed lines are the scores of one judge against the others at each level of agreement.

    Args:
        methods: methods with distances.
        observers: "human", "simulated" or "unknown".
        width: width of the figure in inches.

    Raises:
        UserError: if there are no methods, or all triplets have the same level of agreement.
    """
    _check(methods)
    levels = _levels(np.concatenate([_majority(judge) for _, _, judge in methods[0].splits.values()]))
    if len(levels) < 2:
        raise UserError("judges agree equally on all triplets: expected at least two levels of agreement")
    line = LINE * (1.4 if any("\n" in in_lines(method.label) for method in methods) else 1)
    figure, (panel,) = panels(1, width, width, 0.6 + line * len(methods))
    for place, method in enumerate(methods):
        credits_ = np.concatenate([twoafc_credits(*triplets) for triplets in method.splits.values()])
        majority = np.concatenate([_majority(judge) for _, _, judge in method.splits.values()])
        means = []
        for k, (low, high) in enumerate(levels):
            chosen = 100 * credits_[(majority >= low) & (majority <= high)]
            if not len(chosen):
                continue
            means.append(chosen.mean())
            error = NORMAL * chosen.std() / np.sqrt(len(chosen))
            panel.errorbar(
                means[-1], place, xerr=error, marker=MARKERS[k], color=GRAYS[k], markerfacecolor="white", elinewidth=0.8
            )[0].set_gid(f"{method.label}/{k}")
        panel.plot([min(means), max(means)], [place, place], color="#b0b0b0", linewidth=0.6, zorder=1)
    judge = np.concatenate([judge for _, _, judge in methods[0].splits.values()])
    handles: list[Any] = []
    for k, (low, high) in enumerate(levels):
        chosen = (_majority(judge) >= low) & (_majority(judge) <= high)
        panel.axvline(100 * human_twoafc(judge[chosen]), color=GRAYS[k], linestyle="--", linewidth=0.8, zorder=0.5)
        share = f"{100 * low:.0f}" if low == high else f"{100 * low:.0f} to {100 * high:.0f}"
        text = f"{share} % of judges agree (n = {chosen.sum():,})"
        handles.append(Line2D([], [], linestyle="", marker=MARKERS[k], color=GRAYS[k], label=text, mfc="white"))
    handles.append(Line2D([], [], color="black", linestyle="--", linewidth=0.8, label="one judge against the others"))
    panel.set_yticks(range(len(methods)), [in_lines(method.label) for method in methods])
    panel.set_ylim(len(methods) - 0.4, -0.6)
    panel.set_xlabel("2AFC score (%)")
    panel.grid(visible=False, axis="y")
    panel.tick_params(axis="y", length=0)
    legend_below(figure, handles, max(len(handle.get_label()) for handle in handles))
    name_observers(figure, observers)
    return figure


@in_style
def binomial_fit(methods: Sequence[Judged], observers: str = "", width: float = PAGE) -> Picture:
    """Return a figure of the share of votes for p1 over the probability of the binomial model, with a panel per method.

    The probability of a triplet is fitted on the other folds of its split, as in the likelihood score. Triplets of all
    splits are pooled. A model that fits is on the diagonal. The bars show how often each probability is predicted.

    Args:
        methods: methods with distances.
        observers: "human", "simulated" or "unknown".
        width: largest width of the figure in inches.

    Raises:
        UserError: if there are no methods.
    """
    _check(methods)
    width = min(width, 0.4 + WIDEST * len(methods))
    titles = max(len(textwrap.wrap(method.label, WRAP)) for method in methods)
    figure, axes = panels(len(methods), width, NARROWEST, SQUARE + 0.1 * (titles - 1), sharex=True, sharey=True)
    for panel, method in zip(axes, methods, strict=True):
        fitted = [decision_probability(*triplets) for triplets in method.splits.values()]
        votes = [judge.astype(np.float64) for _, _, judge in method.splits.values()]
        loss = np.mean([negative_log_likelihood(*one).mean() for one in zip(fitted, votes, strict=True)])
        _reliability(panel, np.concatenate(fitted), np.concatenate(votes), look_of(method.group).color)
        panel.set_title(f"{textwrap.fill(method.label, WRAP)}\n{loss:.3f} nats", loc="left", fontsize=6)
    axes[0].set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    figure.supxlabel("probability of the model that p1 is chosen", fontsize=7)
    figure.supylabel("share of votes for p1", fontsize=7)
    name_observers(figure, observers)
    return figure


def _reliability(panel: Axes, probability: np.ndarray, share: np.ndarray, color: str) -> None:
    panel.plot([0, 1], [0, 1], color="black", linewidth=0.6, linestyle=":")
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    panel.bar((np.arange(BINS) + 0.5) / BINS, 0.25 * count / count.max(), 1 / BINS, color="#d9d9d9", linewidth=0)
    bins = np.flatnonzero(count)
    means = [(probability[place == k].mean(), share[place == k].mean()) for k in bins]
    errors = [NORMAL * share[place == k].std() / np.sqrt(count[k]) for k in bins]
    x, y = zip(*means, strict=True)
    panel.errorbar(x, y, yerr=errors, color=color, marker="o", markersize=2.2, markeredgecolor="black", linewidth=0.9)


def _check(methods: Sequence[Judged]) -> None:
    if not methods or not methods[0].splits:
        raise UserError("no method has distances on 2AFC splits")


def _majority(judge: np.ndarray) -> np.ndarray:
    """The share of judges in the majority (N,), in [0.5, 1]."""
    found: np.ndarray = np.round(np.maximum(judge, 1 - judge).astype(np.float64), 3)
    return found


def _levels(majority: np.ndarray) -> list[tuple[float, float]]:
    """The lowest and highest share of each level of agreement. If many shares occur, a level is a range of them."""
    values = np.unique(majority)
    parts = np.array_split(values, min(LEVELS, len(values)))
    return [(float(part[0]), float(part[-1])) for part in parts]
