"""The page of a report, `index.html`, that opens from a folder on disk: tables, differences, figures and examples."""
