"""The methods that are rows of the tables."""
