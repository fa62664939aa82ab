"""Sorted lin weights by layer (paper, Figure 10)."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from lpips_repro.metrics.lpips.sparsity import ZERO, lin_layers, shares_below
from lpips_repro.report.figures.style import PAGE, Picture, in_style, panels, title_above

COLOR = "#0072b2"
HEIGHT, NARROWEST = 1.6, 1.05  # height and smallest width of a panel, in inches


@in_style
def lin_weights(
    state: Mapping[str, Tensor], title: str = "", paper: Sequence[float] = (), width: float = PAGE
) -> Picture:
    """Return a figure of the lin weights of each layer, the largest first, with the share of zeros.

    Args:
        state: state in the released format, such as `weights.pth` of a run or the result of `official_lin_state`.
        title: title of the figure.
        paper: published shares of zeros in percent, per layer.
        width: width of the figure in inches.

    Raises:
        UserError: if the state has no lin weights.
    """
    layers = lin_layers(state)
    shares, all_shares = shares_below(layers)
    figure, axes = panels(len(layers), width, NARROWEST, HEIGHT)
    for number, (panel, layer, share) in enumerate(zip(axes, layers, shares, strict=True)):
        weights = np.sort(layer.detach().double().cpu().numpy())[::-1]
        rank = np.arange(len(weights) + 1)
        panel.stairs(weights, rank, fill=True, facecolor=COLOR, edgecolor=COLOR).set_gid(f"layer/{number + 1}")
        nonzero = int((weights >= ZERO).sum())
        panel.axvline(nonzero, color="black", linestyle=":", linewidth=0.8)
        published = f"\npaper {paper[number]:.1f} %" if number < len(paper) else ""
        panel.set_title(f"layer {number + 1}\n{share:.1f} % zero{published}", loc="left")
        panel.set_xlim(0, len(weights))
        panel.set_xticks([0, len(weights)])
        panel.get_xticklabels()[0].set_horizontalalignment("left")
        panel.get_xticklabels()[1].set_horizontalalignment("right")
        panel.set_ylim(min(0, weights[-1]), max(weights[0] * 1.05, ZERO))
        panel.locator_params(axis="y", nbins=4)
        panel.grid(visible=False, axis="x")
    figure.supxlabel("channels, largest weight first", fontsize=7)
    axes[0].set_ylabel("lin weight")
    about = f"{all_shares:.1f} % of {sum(map(len, layers))} lin weights are below {ZERO:g} (right of the dotted lines)"
    title_above(figure, f"{title}: {about}" if title else about)
    return figure
