"""A study whose cells do what workers die of, for workers in other processes."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.studies.base import Page, Table


@dataclasses.dataclass(frozen=True)
class HardStudy:
    """Cells named for what they do; `traces` gets a file for each try, which holds the process that tried.

    "killed" is so the first time, "always killed" each time; "stuck" waits until the file `go on` is there.
    """

    traces: Path
    names: tuple[str, ...]
    name: str = "hard"

    def cells(self, budget, data=None):
        return [Cell("hard", "none", "nothing", {"task": name}, seed=0) for name in self.names]

    def run(self, cell, folder):
        name = cell.options["task"]
        number = len(self.tries(name))
        (self.traces / f"{name} {number}").write_text(str(os.getpid()), encoding="utf-8")
        if name == "always killed" or (name == "killed" and number == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "faulty":
            print("about to fail", file=sys.stderr)
            raise RuntimeError("a fault of the method")
        while name.startswith("stuck") and not (self.traces / "go on").exists():
            time.sleep(0.05)
        threads = Interval(float(os.environ["OMP_NUM_THREADS"]), None, 1, "threads")
        return Result(cell, {"threads": threads}, Provenance("none", {"python": "3"}))

    def page(self, results):
        rows = [[r.cell.options["task"], f"{r.numbers['threads'].mean:g}"] for r in results]
        return Page("Hard study", tables=[Table("all", ["cell", "threads"], rows)])

    def tries(self, name):
        return sorted(self.traces.glob(f"{name} ?"))


#: For the command line, in another process too.
STUDY = HardStudy(Path(os.environ.get("HARD_STUDY_TRACES", ".")), ("stuck one", "stuck two", "plain"))
