"""A study of human judgments: its store, its server, its page, and the way back into a dataset (`make collect`)."""
