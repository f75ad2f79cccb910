"""`fastslow reproduce`: runs a study, or a part of it, and shows what there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from fastslow.cli.cells import WantedCells
from fastslow.studies.engines import EngineName

if TYPE_CHECKING:
    from fastslow.studies.base import CellProgress, Page

# Rows of a figure's data that a terminal shows; longer ones are drawn on the page.
_MOST_ROWS = 30


def reproduce(
    study: str,
    *,
    wanted: Annotated[WantedCells | None, cyclopts.Parameter(name="*")] = None,
    cell: str | None = None,
    part: str = "1/1",
    engine: EngineName = "here",
    workers: int | None = None,
    address: str | None = None,
    slurm: dict[str, str] | None = None,
    out: Path | None = None,
) -> None:
    """Run the cells of a study that have no result yet, and show all results as a page.

    Go on after an interruption with the same command; several processes may run it at once.

    Args:
        study: its name.
        wanted: which cells.
        cell: one cell alone, by its key, as `fastslow study lines` names it.
        part: 1/2 and 2/2 are the halves of the cells, for two machines.
        engine: here, one cell after another; local, in processes of one thread; ray and slurm, on a cluster (extras).
        workers: cells at once with --engine local (each core one if not given), ray or slurm (all if not given).
        address: of a running Ray cluster, host:port or auto; one of this machine alone if not given.
        slurm: what to ask of Slurm for each cell, as --slurm.partition long --slurm.time 120 (minutes, else 240).
        out: .html, .md or .tex file to write the page to; if not given it is printed, figures of few points as tables.
    """
    from fastslow.cli.outputs import refuse_output
    from fastslow.files import refuse_unwritable_folder
    from fastslow.studies import load_study

    wanted = wanted or WantedCells()
    index = read_part(part)
    found = load_study(study)
    refuse_output("--out", out, ".html", ".md", ".tex")
    refuse_unwritable_folder(wanted.results, "result.json")

    from fastslow.config import read_value
    from fastslow.studies.base import reproduce as run
    from fastslow.studies.engines import load_engine

    asked = {name: read_value(text) for name, text in (slurm or {}).items()}
    where = load_engine(engine, results=wanted.results, workers=workers, address=address, slurm=asked)
    page = run(
        found, results=wanted.results, budget=wanted.budget, part=index, selection=wanted.selection(cell), engine=where,
        on_progress=_say_begun, on_end=_say_held if engine == "here" else _say_ended,
    )  # fmt: skip
    _show(page, out)


def _say_begun(progress: CellProgress) -> None:
    print(f"{progress.done + 1} of {progress.total}: {progress.cell.key}", file=sys.stderr)


def _say_ended(progress: CellProgress) -> None:
    text = f"{progress.done} of {progress.total} done"
    if progress.reason:
        then = "it is tried again after the others" if progress.again else "it is left out"
        text += f"; {progress.cell.key}: {progress.reason}; {then}"
    if not progress.held_by:
        print(text, file=sys.stderr)
    _say_held(progress)


def _say_held(progress: CellProgress) -> None:
    if progress.held_by:
        print(f"left to {progress.held_by}, which runs it: {progress.cell.key}", file=sys.stderr)


def _show(page: Page, out: Path | None) -> None:
    from fastslow.errors import InputError
    from fastslow.files import write_atomically
    from fastslow.studies.rounds import shown_failures

    if page.missing:
        print(f"{len(page.missing)} cells still to be run, such as {page.missing[0]}", file=sys.stderr)
    if out is None:
        print(page.markdown(most_rows=_MOST_ROWS), end="")
    else:
        text = {".html": page.html, ".md": page.markdown, ".tex": page.latex}[out.suffix.lower()]()
        write_atomically(out, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        print(out)
    if page.failed:
        raise InputError(shown_failures(page.failed))


def read_part(text: str) -> tuple[int, int]:
    """Part "1/2", as people count, to (0, 2).

    Raises:
        ValueError: if it is no part.
    """
    from fastslow.errors import InputError, shown

    numbers = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    index, count = map(int, numbers.groups()) if numbers else (0, 0)
    if not 1 <= index <= count:
        raise InputError(f"got part={shown(text)}; give I/N with I from 1 to N, such as 1/2 and 2/2")
    return index - 1, count
