"""The one error that a user of the command line is shown as a line of text instead of a traceback."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used: says what came, what was expected, and the cure.

    The command line prints it as one line and exits with code 2. Library callers see a `ValueError`.
    """
