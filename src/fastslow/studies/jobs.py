"""One cell as a piece of work that any process can do, and how a try at it ended."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastslow.claims import Claim, InUseError, holder_of
from fastslow.errors import InputError, shown_reason
from fastslow.protocol.result import Cell, Result, read_result, write_result
from fastslow.training.interruption import Interrupted

if TYPE_CHECKING:
    from fastslow.studies.base import Study


#: In a folder of results: where cells' own folders are.
RUNS = "runs"


class Outcome(NamedTuple):
    """How a try at a cell ended.

    Attributes:
        cell: that was tried.
        result: of it; None where there is none, for a reason or because another process runs it.
        reason: why it could not be run, in words; empty if nothing went wrong.
        again: another try may go better.
        held_by: the other process that runs it; empty if none does.
    """

    cell: Cell
    result: Result | None = None
    reason: str = ""
    again: bool = False
    held_by: str = ""


class Job(NamedTuple):
    """A cell to be run.

    Attributes:
        study: that the cell is of.
        cell: to run.
        folder: of results, see `reproduce`.
    """

    study: Study
    cell: Cell
    folder: Path

    @property
    def file(self) -> Path:
        """The cell's result."""
        return self.folder / f"{self.cell.key}.json"

    def run(self) -> Outcome:
        """Runs the cell and writes its result, unless it has one or another process is at it.

        Raises:
            ValueError: if the study gives the result of another cell.
            Interrupted: if the user stops it.
        """
        claimed = self.folder / "claims" / self.cell.key
        try:
            claim = Claim(claimed)
        except InUseError:
            return Outcome(self.cell, held_by=holder_of(claimed))
        except InputError as error:
            return Outcome(self.cell, reason=str(error))
        with claim:
            try:
                return Outcome(self.cell, self._result())
            except InputError as error:
                # What another process keeps busy, such as an encoder that several cells need, it gives free again.
                return Outcome(self.cell, reason=str(error), again=isinstance(error, InUseError))

    def _result(self) -> Result:
        if self.file.exists():
            return read_result(self.file)
        result = self.study.run(self.cell, self.folder / RUNS / self.cell.key)
        if result.cell.key != self.cell.key:
            raise ValueError(f"study {self.study.name} gave a result of {result.cell.key} for {self.cell.key}")
        write_result(self.file, result)
        return result


def work(job: Job) -> Outcome:
    """Runs a job in a process that was made for such: on one thread, and whatever goes wrong is told, not raised."""
    _use_one_thread()
    try:
        return job.run()
    except (Interrupted, KeyboardInterrupt):
        return Outcome(job.cell, reason="it was stopped half way", again=True)
    except Exception as error:  # a fault in one cell costs none of the others
        traceback.print_exc()
        return Outcome(job.cell, reason=f"{type(error).__name__}: {shown_reason(error)}")


def _use_one_thread() -> None:
    """Several processes of several threads each would wait for each other most of the time."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read as torch is imported, and by processes that a cell starts
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
