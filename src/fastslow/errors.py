"""The one error that a user of the command line is shown as a line of text instead of a traceback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class InputError(ValueError):
    """Something the user gave cannot be used: says what came, what was expected, and the cure.

    The command line prints it as one line and exits with code 2. Library callers see a `ValueError`.
    """


def refuse_unknown(choices: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Refuses a value that is none of those there are.

    Args:
        choices: by the option's name, the value that came and those that it may take.

    Raises:
        InputError: at the first that came with another value.
    """
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise InputError(f"{name}={value!r} came; choose from {list(allowed)}")
