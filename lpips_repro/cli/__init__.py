"""The command `lpips-repro`: distances of image files by every method of the tables."""
