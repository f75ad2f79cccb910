"""Strict checks of plain values that were read from a file or are about to be written to one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastslow.errors import InputError, shown

#: Larger than any measurement, so that nothing that reads results meets an overflow.
LARGEST = 1e15
_LONGEST_TEXT = 4096
_DEEPEST = 8


def refuse_large(path: Path, most: int) -> None:
    """Refuses a file before it is read: one that is larger than any of its kind, or no file at all.

    Args:
        path: the file; one that is missing is left to whoever opens it.
        most: bytes.

    Raises:
        ValueError: if it is larger, or a device or the like, which has no end; the message names it.
    """
    try:
        if not path.exists():
            return
        regular, size = path.is_file(), path.stat().st_size
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(str(path))} cannot be read: {error}") from error
    if not regular:
        raise InputError(f"{path} is no regular file; give a file written by fastslow")
    if size > most:
        raise InputError(
            f"{path} has {size} bytes, and no such file has more than {most}; give one written by fastslow"
        )


def check_number(name: str, value: object, *, least: float = 0.0, most: float = LARGEST, whole: bool = False) -> None:
    """Refuses what is no number in a range: text, `True`, NaN and infinity among it.

    Raises:
        ValueError: with name, value and what was expected.
    """
    kind = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise InputError(f"got {name}={shown(value)}; {kind} was expected")
    if not least <= value <= most:
        raise InputError(f"got {name}={shown(value)}; {kind} from {least:g} to {most:g} was expected")


def check_text(name: str, value: object, *, longest: int = _LONGEST_TEXT, empty: bool = False) -> None:
    """Refuses what is no text, too long a one, and an empty one unless that is fine.

    Raises:
        ValueError: with name, value and what was expected.
    """
    if not isinstance(value, str) or len(value) > longest or not (value or empty):
        least = "" if empty else "1 to "
        raise InputError(f"got {name}={shown(value)}; text of {least}{longest} characters was expected")
    if not _is_unicode(value):
        raise InputError(f"got {name}={shown(value)}; it holds half a character, which no file can hold")


def check_plain(name: str, value: object, depth: int = 0) -> None:
    """Refuses a mapping that JSON does not give back as it is: other values, numbers that are not finite, deep ones.

    Raises:
        ValueError: with name, value and what was expected.
    """
    if depth > _DEEPEST:
        raise InputError(f"got {name.split('.')[0]} nested more than {_DEEPEST} deep; plain values were expected")
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_text(f"a name in {name}", key, empty=True)
            check_plain(f"{name}.{key}", item, depth + 1)
    elif depth == 0:
        raise InputError(f"got {name}={shown(value)}; names and values were expected")
    elif isinstance(value, list | tuple):
        for item in value:
            check_plain(name, item, depth + 1)
    elif isinstance(value, str):
        check_text(name, value, empty=True)
    elif value is not None and not isinstance(value, bool):
        check_number(name, value, least=-LARGEST)


def _is_unicode(text: str) -> bool:
    """Whether a text can be written: JSON can name half a surrogate pair, which UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
