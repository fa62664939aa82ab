"""Statistics, figures and pages."""
