"""The one exception that is meant for the user: a sentence that says what is wrong, where, and what to do."""


class UserError(Exception):
    """A mistake of the user or of a file. The command line prints its sentence and exits with 2."""
