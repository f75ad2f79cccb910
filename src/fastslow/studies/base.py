"""The contract of a study: its cells, how one of them is run, and the page that shows them all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

from fastslow.data.registry import DATA
from fastslow.data.tracks.registry import NAMES as TRACKS
from fastslow.errors import InputError, shown
from fastslow.protocol.result import Cell, Result, read_result
from fastslow.studies.engines.base import Engine, Here
from fastslow.studies.jobs import RUNS, Job
from fastslow.studies.page import Figure, Page, Table
from fastslow.studies.rounds import CellProgress, run_in_rounds, shown_failures

__all__ = [
    "Budget", "CellProgress", "Figure", "Illustrated", "Page", "Study", "Table", "missing_cells", "part_of",
    "reproduce",
]  # fmt: skip

#: How much a study may cost: minutes; what two cores do in a night; what the paper did.
Budget = Literal["quick", "cpu", "paper"]
T = TypeVar("T")


@runtime_checkable
class Study(Protocol):
    """Cells, and what to make of their results. Nothing else is to be written for a study to be reproduced.

    Engines hand it to other processes by pickle: it keeps nothing from one cell to the next but in their folders.

    Attributes:
        name: as in `STUDIES`.
    """

    name: str

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """All cells of a budget, always the same ones in the same order, no two of one key.

        Args:
            budget: what it may cost.
            data: to run on, see `load_source`; the budget's own if None.

        Raises:
            ValueError: if it does not run on such data.
        """

    def run(self, cell: Cell, folder: Path) -> Result:
        """Measures one cell.

        Args:
            cell: one of `cells`.
            folder: the cell's own, for checkpoints and models; not made yet, or as an interrupted run left it.

        Returns:
            The result, of just this cell.
        """

    def page(self, results: Sequence[Result]) -> Page:
        """Shows results, at least one, in the order of their cells; some may be missing."""


@runtime_checkable
class Illustrated(Study, Protocol):
    """A study whose page shows more than results hold: what its runs have left in their folders."""

    def illustrated(self, results: Sequence[Result], runs: Path) -> Page:
        """As `page`.

        Args:
            results: see `page`.
            runs: folder of the cells' folders, by their keys; those of results from elsewhere are not there.
        """


class Selection(NamedTuple):
    """Which cells of a study are wanted.

    Attributes:
        methods: by name, as in `METHODS` or in the first column of the study's table; all if empty.
        tasks: such as "5w1s", with or without the shots: a model is measured at all shots of its ways; all if empty.
        seeds: as many, from 0 on; all if None.
        data: see `Study.cells`; a name in `DATA`, or of tracks.
        key: of the one cell that is wanted; all if None.
    """

    methods: Sequence[str] = ()
    tasks: Sequence[str] = ()
    seeds: int | None = None
    data: str | None = None
    key: str | None = None

    def of(self, study: Study, budget: Budget) -> list[Cell]:
        """The cells of a study and budget that are wanted.

        Raises:
            ValueError: if there are none; the message says what there is.
        """
        named = (*DATA, *TRACKS)
        if self.data is not None and self.data not in named:
            raise InputError(f"got data={shown(self.data)}; a study runs on data with a name: {', '.join(named)}")
        cells = study.cells(budget, self.data)
        found = [cell for cell in cells if self._keeps(cell)]
        if not found and self.key is not None:
            raise InputError(
                f"got cell={shown(self.key)}; study {study.name} has no such cell with --budget {budget}, or other "
                f"options leave it out: `fastslow study lines {study.name}` says the right ones"
            )
        if not found or (self.key is None and self._unmet(cells)):
            methods = dict.fromkeys(name for cell in cells for name in _names(cell))
            raise InputError(
                f"got methods={shown(list(self.methods))}, cells={shown(list(self.tasks))}, seeds={self.seeds}; study "
                f"{study.name} has no such cell: its methods are {', '.join(methods)}, its cells "
                f"{', '.join(dict.fromkeys(str(cell.options.get('task')) for cell in cells))}"
            )
        return found

    def _unmet(self, cells: Sequence[Cell]) -> bool:
        """Whether a method or task was named that no cell has, misspelt most likely."""
        methods = {name for cell in cells for name in _names(cell)}
        ways = {str(cell.options.get("task")).partition("w")[0] for cell in cells}
        return not (methods >= set(self.methods) and ways >= {task.partition("w")[0] for task in self.tasks})

    def _keeps(self, cell: Cell) -> bool:
        ways = [task.partition("w")[0] for task in self.tasks]
        return (
            (not self.methods or bool(_names(cell) & set(self.methods)))
            and (not ways or str(cell.options.get("task")).partition("w")[0] in ways)
            and (self.seeds is None or cell.seed < self.seeds)
            and self.key in (None, cell.key)
        )


def _names(cell: Cell) -> set[str]:
    return {cell.method, str(cell.options.get("row", cell.method))}


#: Every cell.
ALL = Selection()


def part_of(items: Sequence[T], part: tuple[int, int]) -> list[T]:
    """Part i of n, by turns: the parts share nothing, and together they are everything.

    Args:
        items: what to divide.
        part: (i, n), with i from 0 to n - 1.

    Raises:
        ValueError: if there is no such part.
    """
    index, count = part
    if not 0 <= index < count:
        raise InputError(f"got part {index} of {count}; parts are counted from 0 to one less than there are")
    return list(items[index::count])


def reproduce(
    study: Study,
    *,
    results: str | Path,
    budget: Budget,
    part: tuple[int, int] = (0, 1),
    selection: Selection = ALL,
    engine: Engine | None = None,
    on_progress: Callable[[CellProgress], None] | None = None,
    on_end: Callable[[CellProgress], None] | None = None,
) -> Page:
    """Runs the cells that have no result yet, and shows all results there are.

    Can be interrupted and called again at any time, and by several processes at once: a cell is run by one of them.
    Parts are for machines that share no folder; their result files are then copied together.

    Args:
        study: what to reproduce.
        results: folder of one `<key>.json` per cell; the cells' own folders are in `runs` in it, and in `claims` those
            of the processes that work on them now.
        budget: which cells.
        part: i of n, from 0: which of them to run here. The page shows the results of all parts.
        selection: which of them to run and show.
        engine: runs the cells; one after another in this process if None.
        on_progress: called as each cell of the part is begun.
        on_end: called as a try at one has ended.

    Returns:
        The page, with the cells still missing named on it; a cell that cannot be run is left out, and the others run.

    Raises:
        ValueError: if there is no such part, a result file cannot be read or is of another cell (before any work),
            there are no workers to be had, or there is no result to show.
        Interrupted: if the user stops it; the same call goes on.
    """
    folder = Path(results)
    cells = _cells(study, budget, selection)
    here = part_of(cells, part)
    _read(cells, folder)  # refuses a damaged file before the work
    jobs = [Job(study, cell, folder) for cell in here]
    failed = run_in_rounds(jobs, engine or Here(), on_progress, on_end)
    found = _read(cells, folder)
    if not found and failed:
        raise InputError(shown_failures(failed))
    if not found:
        raise InputError(f"{folder} holds no result of study {study.name} yet; run another part, or wait for it")
    missing = [cell.key for cell in cells if cell.key not in found]
    page = _page(study, list(found.values()), folder / RUNS)
    return dataclasses.replace(page, missing=missing, failed=failed)


def _page(study: Study, results: Sequence[Result], runs: Path) -> Page:
    return study.illustrated(results, runs) if isinstance(study, Illustrated) else study.page(results)


def missing_cells(study: Study, *, results: str | Path, budget: Budget, selection: Selection = ALL) -> list[Cell]:
    """The cells that `reproduce` would run, in order.

    Args:
        study: that they are of.
        results: folder of results.
        budget: which cells.
        selection: which of them.

    Raises:
        ValueError: if there are no such cells, or a result file cannot be read or is of another cell.
    """
    cells = _cells(study, budget, selection)
    found = _read(cells, Path(results))
    return [cell for cell in cells if cell.key not in found]


def _cells(study: Study, budget: Budget, selection: Selection) -> list[Cell]:
    cells = selection.of(study, budget)
    if len({cell.key for cell in cells}) < len(cells):
        raise ValueError(f"study {study.name} has two cells of one key: they differ in nothing that a cell holds")
    return cells


def _read(cells: Sequence[Cell], folder: Path) -> dict[str, Result]:
    """The results there are, by their cell's key, in the order of the cells."""
    found = {}
    for cell in cells:
        file = folder / f"{cell.key}.json"
        if file.exists():
            found[cell.key] = read_result(file)
            if found[cell.key].cell.key != cell.key:
                raise InputError(f"{file} holds the result of {found[cell.key].cell.key}; move it to where it belongs")
    return found
