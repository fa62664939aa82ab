"""From distances to tables, and what becomes of their files."""
