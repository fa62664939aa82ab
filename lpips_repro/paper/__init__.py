"""All steps that reproduce the paper, and a page that compares the results with the published figures."""
