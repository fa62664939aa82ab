"""The figures, one function each, drawn from the tables of the evaluation:

    from lpips_repro.report.figures import read_scores, twoafc_bars

    twoafc_bars(read_scores("experiments/tables-mini"))

Each function returns a matplotlib `Figure`, which a notebook displays. `save_figure` writes it as PNG, SVG and PDF.
"""

from lpips_repro.report.figures.bars import split_bars, twoafc_bars
from lpips_repro.report.figures.calibration import Judged, binomial_fit, unanimity
from lpips_repro.report.figures.curves import Curves, read_curves, training_curves
from lpips_repro.report.figures.disagreement_grid import disagreement_grid
from lpips_repro.report.figures.lin_weights import lin_weights
from lpips_repro.report.figures.pairs import pairs_matrix
from lpips_repro.report.figures.scores import Scores, read_scores
from lpips_repro.report.figures.style import save_figure
from lpips_repro.report.figures.task_scatter import draw_methods, jnd_against_twoafc, paper_methods

__all__ = [
    "Curves",
    "Judged",
    "Scores",
    "binomial_fit",
    "disagreement_grid",
    "draw_methods",
    "jnd_against_twoafc",
    "lin_weights",
    "pairs_matrix",
    "paper_methods",
    "read_curves",
    "read_scores",
    "save_figure",
    "split_bars",
    "training_curves",
    "twoafc_bars",
    "unanimity",
]
