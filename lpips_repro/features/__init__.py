"""Stored channel means, which lin weights are applied to, computed once for all epochs."""
