"""The one error that a user of the command line is shown as a line of text instead of a traceback."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path


class InputError(ValueError):
    """Something the user gave cannot be used: says what was got, what was expected, and the cure.

    The command line prints it as one line and exits with code 2. Library callers see a `ValueError`.
    """


#: The longest value, and the longest path, that a message shows.
_MAX_SHOWN, _MAX_PATH = 80, 200
#: "<_io.BytesIO object at 0x7f...>", with the space before it.
_ADDRESS = re.compile(r"\s?<[^<>]* at 0x[0-9a-fA-F]+>")


class _ShortRepr(reprlib.Repr):
    """Goes into a value only as far as a message has room, however large or deep the value is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 10
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = _MAX_SHOWN
        self.maxstring = self.maxother = self.maxlong = 2 * _MAX_SHOWN
        self._left = 2 * _MAX_SHOWN

    def repr1(self, x: object, level: int) -> str:
        self._left -= 1
        return super().repr1(x, level) if self._left > 0 else "..."


def shown(value: object) -> str:
    """A value as a message shows it: its `repr` on one line, cut to 80 characters."""
    try:
        text = " ".join(_ShortRepr().repr(value).split())
    except ValueError:  # Python does not write out integers of more than 4300 digits
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def shown_path(path: str | Path) -> str:
    """A path as a message shows it: on one line, characters that cannot be printed as "?", its last 200 characters."""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(path)[-2 * _MAX_PATH :])
    return text if len(text) <= _MAX_PATH else f"...{text[3 - _MAX_PATH :]}"


def shown_reason(error: BaseException) -> str:
    """The first line of an error's message, cut to 80 characters; the system's words for an error of the system.

    Of an object that the message names by where it lies in memory, as Pillow's of a file, no word is left.
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = _ADDRESS.sub("", text)
    line = shown_path((text.splitlines() or [type(error).__name__])[0])
    return line if len(line) <= _MAX_SHOWN else f"{line[: _MAX_SHOWN - 3]}..."


def as_path(path: object, of: str = "file") -> Path:
    """A path that a user gave.

    Args:
        path: a text or a path; anything else is refused, numbers too, which the system takes for open files.
        of: what it is of, for the message.

    Raises:
        InputError: if it is something else.
    """
    try:
        return Path(path)  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"got path={shown(path)}; the path of a {of} was expected, a text or a Path") from error


def refuse_unknown(choices: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Refuses a value that is none of those there are.

    Args:
        choices: by the option's name, the value got and those that it may take.

    Raises:
        InputError: at the first that has another value.
    """
    for name, (value, allowed) in choices.items():
        if not isinstance(value, str) or value not in allowed:  # an array is neither in a list nor not
            raise InputError(f"got {name}={shown(value)}; choose from {list(allowed)}")
