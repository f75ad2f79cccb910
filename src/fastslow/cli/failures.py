"""What the command line says where it cannot go on: one line and an exit code; a traceback for our own faults only."""

from __future__ import annotations

import errno
from typing import NamedTuple

import cyclopts

from fastslow.errors import InputError

#: Exit codes: the machine failed, something given cannot be used, stopped by the user.
MACHINE, INPUT, INTERRUPTED = 1, 2, 130
#: Failures of the operating system that another path would cure.
_PATHS = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
#: What PyTorch and safetensors say, in exceptions that bugs raise too, where memory or the disk is full.
_FULL = ("can't allocate memory", "not enough memory", "out of memory", "inline_container.cc", "I/O error")


class Failure(NamedTuple):
    """How a command ends.

    Attributes:
        code: of the process.
        text: what went wrong, and the cure.
    """

    code: int
    text: str


def failure(error: BaseException) -> Failure | None:
    """What to say about an error; None for one that only a fault of ours can raise."""
    if isinstance(error, (InputError, cyclopts.CycloptsError)):
        return Failure(INPUT, str(error))
    if isinstance(error, KeyboardInterrupt):
        return Failure(INTERRUPTED, "interrupted")
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, UnicodeError):
        return Failure(INPUT, f"got text that is not UTF-8 ({error}); save the file as UTF-8, or rename it")
    if isinstance(error, RecursionError):
        return Failure(INPUT, f"got something nested too deeply ({error}); give a file with fewer levels")
    if isinstance(error, MemoryError) or any(words in str(error) for words in _FULL):
        reason = f" ({error})" if str(error) else ""
        return Failure(MACHINE, f"memory or disk is full{reason}; free some, or ask for less at a time")
    from fastslow.training.interruption import Interrupted  # here, so that other failures need not wait for it

    if isinstance(error, Interrupted):
        return Failure(INTERRUPTED, "interrupted; the same command goes on from the last checkpoint")
    return None


def _of_the_system(error: OSError) -> Failure:
    if isinstance(error, BrokenPipeError):
        return Failure(MACHINE, "whatever read the output stopped reading; the rest is lost")
    where = "" if error.filename is None else f"{error.filename}: "
    reason = error.strerror or str(error) or type(error).__name__
    if isinstance(error, _PATHS) or error.errno in (errno.ENAMETOOLONG, errno.EROFS):
        return Failure(INPUT, f"{where}{reason}; give a path that can be used")
    return Failure(MACHINE, f"{where}{reason}; free space or mend the machine, then run the command again")
