"""The contract of an engine: where the cells of a study are run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterable, Mapping
from importlib import import_module
from itertools import islice
from types import ModuleType
from typing import Generic, Protocol, TypeVar, runtime_checkable

from fastslow.errors import InputError
from fastslow.studies.jobs import Job, Outcome
from fastslow.training.interruption import Interrupted, Stop

#: Seconds between two looks at workers, at most; and those that stopped ones have for a last checkpoint.
POLL_SECONDS, GRACE_SECONDS = 0.5, 60.0
#: As many jobs as there are.
_ALL = 2**31
H = TypeVar("H")


@runtime_checkable
class Engine(Protocol):
    """Runs jobs, here or elsewhere."""

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Runs each job once.

        Args:
            jobs: one is taken when it can be begun, and no earlier.

        Yields:
            How each of them ended, as it ends. Closing the generator stops those that have not.

        Raises:
            ValueError: if there are no workers to be had.
            Interrupted: if the user stops it, after the workers have stopped.
        """


class Here:
    """One job after another in this process; a fault in one is raised."""

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """See `Engine.run`."""
        for job in jobs:
            yield job.run()


class WorkerEngine(ABC, Generic[H]):
    """Jobs side by side in other processes, each known here by a handle of type H; a fault in one is told.

    Args:
        workers: how many at once; None for as many as can be had.

    Raises:
        ValueError: if that is none.
    """

    def __init__(self, workers: int | None) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"got workers={workers}; give at least 1")
        self.workers = workers

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """See `Engine.run`."""
        waiting, running = iter(jobs), dict[H, Job]()
        with Stop() as stop:
            try:
                while not stop.requested:
                    for job in islice(waiting, (self.workers or _ALL) - len(running)):
                        running[self.begin(job)] = job
                    if not running:
                        return
                    for handle in self.ended(running):
                        yield self.outcome(handle, running.pop(handle))
                raise Interrupted
            finally:
                self.close(running)

    @abstractmethod
    def begin(self, job: Job) -> H:
        """Has a worker run `work(job)`.

        Raises:
            ValueError: if there are none to be had.
        """

    @abstractmethod
    def ended(self, handles: Collection[H]) -> list[H]:
        """Those that have ended, of at least one; waits `POLL_SECONDS` for the first."""

    @abstractmethod
    def outcome(self, handle: H, job: Job) -> Outcome:
        """How one ended."""

    @abstractmethod
    def close(self, running: Mapping[H, Job]) -> None:
        """Stops those that have not ended, within `GRACE_SECONDS`, and lets go of the workers."""


def extra_package(name: str, extra: str) -> ModuleType:
    """A package that comes with an extra.

    Raises:
        ValueError: if it is not installed; the message says how to.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise InputError(f"engine {extra} needs {name}, which is not here: pip install 'fastslow[{extra}]'") from error
