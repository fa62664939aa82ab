"""Folders of photographs as square crops, some to learn from and some held out, decoded once."""
