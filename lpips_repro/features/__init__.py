"""Stored channel means: what the lin weights are applied to, computed once for all epochs."""
