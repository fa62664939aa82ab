"""From packed splits to distances, scores and tables."""

from lpips_repro.evaluation.scores import human_twoafc, jnd_map, oracle_twoafc, twoafc_score

__all__ = ["human_twoafc", "jnd_map", "oracle_twoafc", "twoafc_score"]
