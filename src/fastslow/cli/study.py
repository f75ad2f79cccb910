"""`fastslow study`: what is left of a study, for schedulers."""

from __future__ import annotations

import shlex
from typing import Annotated

import cyclopts

from fastslow.cli.cells import WantedCells

app = cyclopts.App(name="study", help="Look at a study.")


@app.command
def lines(
    study: str,
    *,
    wanted: Annotated[WantedCells | None, cyclopts.Parameter(name="*")] = None,
) -> None:
    """Print one shell command for each cell that has no result yet, for xargs, GNU parallel, make or any scheduler.

    A command runs its cell on one thread, if nobody has run it by then, and shows its result; it goes on where a killed
    one stopped. Run them in the folder that this was run in; `fastslow reproduce` then shows all of them.

    Args:
        study: its name.
        wanted: which cells.
    """
    from fastslow.studies import load_study

    wanted = wanted or WantedCells()
    found = load_study(study)

    from fastslow.studies.base import missing_cells

    missing = missing_cells(found, results=wanted.results, budget=wanted.budget, selection=wanted.selection())
    data = [] if wanted.data is None else ["--data", wanted.data]
    for cell in missing:
        words = [
            "fastslow", "reproduce", study, "--budget", wanted.budget, *data, "--results", str(wanted.results),
            "--engine", "local", "--workers", "1", "--cell", cell.key,
        ]  # fmt: skip
        print(shlex.join(words))
