"""All cells of a part, each tried until it is done or it is clear that it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

from fastslow.protocol.result import Cell, write_result
from fastslow.studies.engines.base import Engine
from fastslow.studies.jobs import Job

#: How often a cell is tried whose worker is lost, or that needs what another cell is busy with.
TRIES = 3


class CellProgress(NamedTuple):
    """Where `reproduce` is.

    Attributes:
        cell: begun now (`on_progress`; unless it has its result or is run by another process), or ended (`on_end`).
        done: cells of the part looked at before it (`on_progress`), or done with (`on_end`).
        total: cells of the part.
        reason: why it could not be run; empty if it was, or as it is begun.
        again: it will be tried again.
        held_by: the other process that runs it, once it has been looked at; empty if none does.
    """

    cell: Cell
    done: int
    total: int
    reason: str = ""
    again: bool = False
    held_by: str = ""


Report = Callable[[CellProgress], None]


def run_in_rounds(
    jobs: Sequence[Job], engine: Engine, on_progress: Report | None = None, on_end: Report | None = None
) -> dict[str, str]:
    """Runs jobs that have no result; those that may go better another time once more after all others.

    Args:
        jobs: of cells with different keys.
        engine: runs them.
        on_progress: called as each is begun.
        on_end: called as each try has ended.

    Returns:
        Why cells could not be run, by their keys.
    """
    reasons: dict[str, str] = {}
    left = {job.cell.key: job for job in jobs}
    for tried in range(TRIES):
        with closing(engine.run(_begun(left, len(jobs), on_progress))) as outcomes:
            for cell, result, reason, again, held_by in outcomes:
                job, once_more = left[cell.key], again and tried + 1 < TRIES
                if not once_more:
                    del left[cell.key]
                reasons[cell.key] = reason
                if result is not None and not job.file.exists():  # run on a machine that does not share the folder
                    write_result(job.file, result)
                if on_end is not None:
                    on_end(CellProgress(cell, len(jobs) - len(left), len(jobs), reason, once_more, held_by))
        if not left:
            break
    # One that was killed just after it had written its result needs no other try.
    return {job.cell.key: reasons[job.cell.key] for job in jobs if reasons.get(job.cell.key) and not job.file.exists()}


def shown_failures(failed: Mapping[str, str]) -> str:
    """Why cells could not be run, by their keys, in words; each reason once."""
    keys: dict[str, list[str]] = {}
    for key, reason in failed.items():
        keys.setdefault(reason, []).append(key)
    return "; ".join(
        f"{alike[0] if len(alike) == 1 else f'{len(alike)} cells, such as {alike[0]},'} could not be run: {reason}"
        for reason, alike in keys.items()
    )


def _begun(left: dict[str, Job], total: int, on_progress: Report | None) -> Iterator[Job]:
    """Those that are left and have no result, each when it is asked for; those that have one are no longer left."""
    first = total - len(left)
    for index, (key, job) in enumerate(list(left.items()), start=first):
        if on_progress is not None:
            on_progress(CellProgress(job.cell, index, total))
        if job.file.exists():
            del left[key]
        else:
            yield job
