"""What the command line prints on: shows text as it is, on whatever console there is."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_FOR_PROGRAMMERS = warnings.formatwarning


def console(*, stderr: bool = False) -> Console:
    """A console that takes no text for markup: the name of a run or of a class may hold brackets and colons."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False)


def show_what_can_be_shown() -> None:
    """Has characters that the console's encoding lacks replaced: they must not cost a measurement that is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def show_notes_as_lines() -> None:
    """Has warnings for users shown as a line, without the place in the code, which is for programmers."""
    warnings.formatwarning = _as_line


def _as_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    if category is UserWarning:
        return f"note: {' '.join(str(message).split())}\n"
    return _FOR_PROGRAMMERS(message, category, filename, lineno, line)


def flush() -> None:
    """Writes out what has been printed so far.

    Raises:
        OSError: if that cannot be; the rest is dropped, or Python would fail over it once more on its way out.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError:
            with contextlib.suppress(OSError):  # a stream without a file
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            raise
