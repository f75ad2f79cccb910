"""Ctrl-C and polite kills as a flag, so that no step is cut in half."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

#: Ctrl-C, `kill`, and, where there is one, the end of the terminal.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_Handler = Callable[[int, FrameType | None], Any] | int | None


class Interrupted(Exception):
    """Training was stopped by the user; the checkpoint to resume from has been written."""


class Abandoned(Exception):
    """A piece of work was left off half way, because the user wants to stop and nothing is lost with it."""


class Stop:
    """Whether the user wants the work to stop; signals are caught in a `with` block.

    Attributes:
        requested: it has been asked for.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, _Handler] = {}

    def check(self) -> None:
        """For between two passes of long work that changes nothing.

        Raises:
            Abandoned: if the user wants to stop.
        """
        if self.requested:
            raise Abandoned

    def __enter__(self) -> Stop:
        try:
            self._before = {number: signal.signal(number, self._request) for number in SIGNALS}
        except ValueError:  # not the main thread: signals are not ours to catch
            self._before = {}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
