"""Checks on a real GPU (`make gpu-check`)."""
