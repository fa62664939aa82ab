"""The rows of the tables before they have scores."""
