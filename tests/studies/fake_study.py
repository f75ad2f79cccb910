"""A study that costs nothing, and a script of it: `python fake_study.py RESULTS INDEX COUNT [die]`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.studies.base import Page, Table, reproduce


class FakeStudy:
    """Measures nothing; writes down in `runs.log` which cells it ran."""

    name = "fake"

    def __init__(self, log: Path, num_cells: int = 6) -> None:
        self.log, self.num_cells = log, num_cells
        self.before_each = lambda cell: None

    def cells(self, budget, data=None):
        count = 2 if budget == "quick" else self.num_cells
        return [Cell("fake", "none", "nothing", {"shape": (1, i)}, seed=i % 2) for i in range(count)]

    def run(self, cell, folder):
        assert folder.name == cell.key
        self.before_each(cell)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{cell.key}\n")
        number = Interval(cell.options["shape"][1] / 7, None, 1)
        return Result(cell, {"accuracy": number}, Provenance("none", {"python": "3"}))

    def page(self, results):
        rows = [[result.cell.key, repr(result.numbers["accuracy"].mean)] for result in results]
        return Page("Fake | study", tables=[Table("all", ["cell", "accuracy"], rows)])


STUDY = FakeStudy(Path(os.environ.get("FAKE_STUDY_LOG", "runs.log")))

if __name__ == "__main__":
    if sys.argv[4:] == ["die"]:
        STUDY.before_each = lambda cell: os._exit(9)
    else:
        STUDY.before_each = lambda cell: time.sleep(0.05)
    reproduce(STUDY, results=sys.argv[1], budget="cpu", part=(int(sys.argv[2]), int(sys.argv[3])))
