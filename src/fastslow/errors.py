"""The one error that a user of the command line is shown as a line of text instead of a traceback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class InputError(ValueError):
    """Something the user gave cannot be used: says what was got, what was expected, and the cure.

    The command line prints it as one line and exits with code 2. Library callers see a `ValueError`.
    """


#: The longest value that a message shows.
_MAX_SHOWN = 80


def shown(value: object) -> str:
    """A value as a message shows it: its `repr` on one line, cut to 80 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def refuse_unknown(choices: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Refuses a value that is none of those there are.

    Args:
        choices: by the option's name, the value got and those that it may take.

    Raises:
        InputError: at the first that has another value.
    """
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise InputError(f"got {name}={shown(value)}; choose from {list(allowed)}")
