"""The page of a report, `index.html`: tables, differences, figures and examples. A browser opens it from a folder."""
