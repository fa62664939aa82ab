"""The whole paper: all steps in order, and a page that compares the results with the published figures."""
