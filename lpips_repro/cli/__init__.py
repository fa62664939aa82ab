"""The command `lpips-repro`: distances between image files by every method of the tables."""
