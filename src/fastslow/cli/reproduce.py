"""`fastslow reproduce`: runs a study, or a part of it, and shows what there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Literal


def reproduce(
    study: str,
    *,
    methods: str = "",
    cells: str = "",
    seeds: int | None = None,
    data: str | None = None,
    part: str = "1/1",
    results: Path = Path("results"),
    budget: Literal["quick", "cpu", "paper"] = "quick",
    out: Path | None = None,
) -> None:
    """Run the cells of a study that have no result yet, and show all results as a page.

    Go on after an interruption with the same command; several processes may run it at once.

    Args:
        study: its name.
        methods: names separated by commas, to run and show these alone.
        cells: tasks separated by commas, such as 5w1s,20w1s, likewise.
        seeds: how many, likewise; all of the budget's if not given.
        data: to run on, in place of the budget's own: glyphs, omniglot, ...
        part: 1/2 and 2/2 are the halves of the cells, for two machines.
        results: folder of result files, one per cell.
        budget: which cells: quick, for minutes; cpu, for a night on two cores; paper, as the paper did.
        out: .html, .md or .tex file to write the page to; printed as Markdown if not given.
    """
    from fastslow.errors import InputError
    from fastslow.files import refuse_unwritable, write_atomically
    from fastslow.studies import load_study

    index = read_part(part)
    found = load_study(study)
    if out is not None:
        _refuse_other_endings(out)
        refuse_unwritable(out)
    refuse_unwritable(results / "result.json")

    from fastslow.studies import base

    def show(progress: base.CellProgress) -> None:
        print(f"{progress.done + 1} of {progress.total}: {progress.cell.key}", file=sys.stderr)

    selection = base.Selection(_names(methods), _names(cells), seeds, data)
    page = base.reproduce(found, results=results, budget=budget, part=index, selection=selection, on_progress=show)
    if page.missing:
        print(f"{len(page.missing)} cells still to be run, such as {page.missing[0]}", file=sys.stderr)
    if out is None:
        print(page.markdown(), end="")
    else:
        text = {".html": page.html, ".md": page.markdown, ".tex": page.latex}[out.suffix]()
        write_atomically(out, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        print(out)
    if page.failed:
        raise InputError("; ".join(f"{key} could not be run: {reason}" for key, reason in page.failed.items()))


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


def _refuse_other_endings(out: Path) -> None:
    from fastslow.errors import InputError

    if out.suffix not in (".html", ".md", ".tex"):
        raise InputError(f"got {out}; give a file whose name ends in .html, .md or .tex")


def _names(text: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
