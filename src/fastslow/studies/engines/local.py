"""Cells in processes on this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NamedTuple

from fastslow.processes import num_cores
from fastslow.studies.engines.base import GRACE_SECONDS, POLL_SECONDS, WorkerEngine
from fastslow.studies.jobs import Job, Outcome, work


class _Worker(NamedTuple):
    process: SpawnProcess
    pipe: Connection


class LocalEngine(WorkerEngine[_Worker]):
    """A process for each cell: one that is killed takes no other along, and its memory is its cell's alone.

    What a process says goes to `logs/<key>.txt` in the folder of results; the file goes again where that is nothing.
    A script that uses this must not do so as it is imported: processes are spawned, and import it.

    Args:
        workers: processes at once; one for each core if None.

    Raises:
        ValueError: if that is none.
    """

    def __init__(self, workers: int | None = None) -> None:
        super().__init__(num_cores() if workers is None else workers)

    def begin(self, job: Job) -> _Worker:
        """See `WorkerEngine.begin`."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_answer, args=(job, theirs, _log(job)))
        with _interrupts_held_back():
            process.start()
        theirs.close()  # so that its end is seen here when the process ends
        return _Worker(process, ours)

    def ended(self, handles: Collection[_Worker]) -> list[_Worker]:
        """See `WorkerEngine.ended`."""
        ready = wait([worker.pipe for worker in handles], POLL_SECONDS)
        return [worker for worker in handles if worker.pipe in ready]

    def outcome(self, handle: _Worker, job: Job) -> Outcome:
        """See `WorkerEngine.outcome`."""
        try:
            outcome: Outcome = handle.pipe.recv()
        except EOFError:
            outcome = Outcome(job.cell, reason="", again=True)
        handle.process.join()
        handle.pipe.close()
        said = _tidied(_log(job))
        if outcome.again and not outcome.reason:
            outcome = outcome._replace(reason=f"its process ended with code {handle.process.exitcode}")
        return outcome._replace(reason=f"{outcome.reason} ({said})") if outcome.reason and said else outcome

    def close(self, running: Mapping[_Worker, Job]) -> None:
        """See `WorkerEngine.close`."""
        for worker in running:
            worker.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for worker, job in running.items():
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
            _tidied(_log(job))


def _answer(job: Job, pipe: Connection, log: Path) -> None:
    """What the process does."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped, it clears up; training writes a checkpoint
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    outcome = work(job)
    with contextlib.suppress(BrokenPipeError):  # the first process was killed
        pipe.send(outcome)


def _end_with_the_first() -> None:
    """Stops this process once the one that gave it the job has ended, however: nobody would look at its outcome."""
    first = multiprocessing.parent_process()
    if first is not None:
        first.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes started within never see Ctrl-C, which a terminal sends to all: they are stopped by the first."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # as it begins it lets interrupts through again; the first process would begin it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _log(job: Job) -> Path:
    return job.folder / "logs" / f"{job.cell.key}.txt"


def _tidied(log: Path) -> str:
    """Where to read what a process said; empty if it said nothing, and the file is removed then."""
    with contextlib.suppress(OSError):
        if log.stat().st_size:
            return f"see {log}"
        log.unlink()
    return ""
