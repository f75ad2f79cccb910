"""One thread that does what is asked of a learner, in the order in which it was asked.

What waits is taken together: a change is acknowledged when it is on the disk, and one `sync` serves all that wait.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from fastslow.errors import InputError, shown_reason
from fastslow.serving.kept import KeptLearner

#: How much is acknowledged by one `sync`.
_TOGETHER = 64
Work = Callable[[KeptLearner], Any]


class StorageError(RuntimeError):
    """The disk has failed: what was asked may not have been done."""


class Worker:
    """Works until it is closed.

    Args:
        kept: the learner; nobody else may touch it until then.
    """

    def __init__(self, kept: KeptLearner) -> None:
        self._kept = kept
        self._queue: queue.SimpleQueue[tuple[Work, Future[Any]] | None] = queue.SimpleQueue()
        self._broken = ""
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)
        self._thread.start()

    async def do(self, work: Work) -> Any:  # noqa: ANN401 - as the work has it
        """What comes of some work, once all that was changed by then is on the disk.

        Raises:
            StorageError: if the disk has failed.
            ValueError: as the work does.
        """
        future: Future[Any] = Future()
        self._queue.put((work, future))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Ends once all that was asked has been done."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            asked = [self._queue.get()]
            while len(asked) < _TOGETHER and not self._queue.empty():
                asked.append(self._queue.get())
            is_open = None not in asked
            tasks = [(work, future) for work, future in filter(None, asked) if future.set_running_or_notify_cancel()]
            for (_, future), done in zip(tasks, self._do([work for work, _ in tasks]), strict=True):
                if isinstance(done, Exception):
                    future.set_exception(done)
                else:
                    future.set_result(done)

    def _do(self, works: list[Work]) -> list[Any]:
        """The outcome of each: a value or an exception."""
        if self._broken:
            return [StorageError(self._broken) for _ in works]
        try:
            done = [self._outcome(work) for work in works]
            self._kept.sync()
        except OSError as error:
            return self._recovered(error, len(works))
        return done

    def _outcome(self, work: Work) -> Any:  # noqa: ANN401 - as the work has it
        try:
            return work(self._kept)
        except OSError:
            raise
        except Exception as error:  # what it is, is said by whoever asked
            return error

    def _recovered(self, error: OSError, count: int) -> list[Any]:
        text = f"the disk failed ({shown_reason(error)})"
        try:
            self._kept.recover()
        except (InputError, OSError):
            traceback.print_exc(file=sys.stderr)
            self._broken = f"{text}, and what was acknowledged cannot be read back: mend it and start again"
        return [
            StorageError(
                self._broken
                or f"{text}, and what was asked may not have been done: free space, see /status, and ask again"
            )
        ] * count
