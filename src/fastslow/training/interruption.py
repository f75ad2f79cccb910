"""Ctrl-C and polite kills as a flag, so that no step is cut in half; and long work between steps, as it goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

#: Ctrl-C, `kill`, and, where there is one, the end of the terminal.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_Handler = Callable[[int, FrameType | None], Any] | int | None


class Interrupted(Exception):
    """Training was stopped by the user; the checkpoint to resume from has been written."""


class Abandoned(Exception):
    """A piece of work was left off half way, because the user wants to stop and nothing is lost with it."""


class Passes(NamedTuple):
    """Where work of many passes between steps is, for whoever shows it.

    Attributes:
        what: the work, in a word.
        done: how many of what it goes through are done.
        total: how many there are.
        unit: what these are.
    """

    what: str
    done: int
    total: int
    unit: str = "images"


class Stop:
    """Whether the user wants the work to stop; signals are caught in a `with` block.

    Attributes:
        requested: it has been asked for.
        on_passes: called before each pass of work that is watched; None for nobody.
    """

    def __init__(self) -> None:
        self.requested = False
        self.on_passes: Callable[[Passes], object] | None = None
        self._before: dict[int, _Handler] = {}

    def check(self) -> None:
        """For between two passes of long work that changes nothing.

        Raises:
            Abandoned: if the user wants to stop.
        """
        if self.requested:
            raise Abandoned

    def watch(self, what: str, total: int) -> Callable[[int], None]:
        """Follows work of many passes over so many images.

        Returns:
            To be called before each pass, with how many images it is of; `check`, and word to whoever shows it.
        """
        done = 0

        def before(images: int) -> None:
            nonlocal done
            self.check()
            if self.on_passes is not None:
                self.on_passes(Passes(what, done, total))
            done += images

        return before

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
