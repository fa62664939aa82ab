"""Distances of methods on splits: computing, storing, and reading those of another program."""
