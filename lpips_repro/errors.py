"""The one exception that the command line shows without a traceback."""


class UserError(ValueError):
    """Something the user can mend: the message names the file or setting, what it holds, and the remedy."""
