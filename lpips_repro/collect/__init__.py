"""A study of human judgments: its store, its server, its page, and the way back into a dataset (`make collect`)."""

import logging

logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs each plugin when it is imported, and its guesses
