"""Distances, scores and tables of methods on splits."""

from lpips_repro.evaluation.disagreement import Disagreement, disagreements
from lpips_repro.evaluation.one_method import Evaluation, evaluate
from lpips_repro.evaluation.protocols.jnd import jnd_map
from lpips_repro.evaluation.protocols.twoafc import human_twoafc, oracle_twoafc, twoafc_score

__all__ = [
    "Disagreement",
    "Evaluation",
    "disagreements",
    "evaluate",
    "human_twoafc",
    "jnd_map",
    "oracle_twoafc",
    "twoafc_score",
]
