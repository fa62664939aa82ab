"""Resumable downloads of archives from several mirrors."""
