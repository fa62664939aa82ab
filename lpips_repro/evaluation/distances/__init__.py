"""Distances of methods on splits: computed, kept on disk, or read from another program."""
