"""Knowledge sharing (the paper's Sec. 5.2): a second network learns from a few examples, helped by a first one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from fastslow.errors import InputError, shown
from fastslow.protocol.provenance import peak_memory_mib, processor_name, versions
from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.report.figures.update_curves import UpdateCurves
from fastslow.report.tables import mean_over_seeds
from fastslow.studies.base import Budget, Page, Table
from fastslow.studies.sharing_data import RATE, SEEN, STEPS, TASKS, Asked, Examples, Pair, pair_of
from fastslow.studies.sharing_learners import BATCH, REFERENCE, ROWS, Branches
from fastslow.studies.sharing_page import SharingNotes, drawings_of, is_drawn, number
from fastslow.studies.shipped import budget_of

#: Iterations from one update of the second network to the next; the first comes after as many.
EVERY = 100
#: What constant velocity is called in figures.
_PLAIN = "constant velocity"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a budget is.

    Attributes:
        data: that it is for.
        updates: of the second network.
        seeds: how many: of weights, of the split and of the order of windows; on junctions, of the place too.
    """

    data: str
    updates: int
    seeds: int


#: By budget; the paper does not say how many updates there are.
PLANS: dict[Budget, Plan] = {
    "quick": Plan("junction", 3, 1), "cpu": Plan("vru", 10, 5), "paper": Plan("vru", 10, 5),
}  # fmt: skip


class SharingStudy:
    """How well a second network does after each of its few updates, by what it shares with a first."""

    name = "sharing"

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """See `Study.cells`."""
        plan = PLANS[budget]
        data = data or plan.data
        if data not in TASKS:
            raise InputError(f"got data={shown(data)}; study {self.name} runs on {' or '.join(TASKS)}")
        tasks = TASKS[data][:1] if budget == "quick" else TASKS[data]
        return [
            Cell(self.name, row, data, {"task": task, "updates": plan.updates, "every": EVERY, "batch": BATCH}, seed)
            for seed in range(plan.seeds) for task in tasks for row in ROWS
        ]  # fmt: skip

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`.

        Raises:
            ValueError: if it is no cell of this study.
        """
        budget = budget_of(self, PLANS, cell)
        began = time.monotonic()
        row = ROWS[cell.method]
        pair = pair_of(str(cell.options["task"]), cell.data, cell.seed, places=row.literal)
        branches = Branches(row, outputs=pair.first.targets.shape[1], seed=cell.seed)
        notes = SharingNotes(branches, pair) if is_drawn(cell) else None
        numbers = dict(watched(branches, pair, PLANS[budget].updates, cell.seed, notes))
        if notes is not None:
            notes.write(folder)
        words = f"fastslow reproduce {self.name} --budget {budget} --data {cell.data}"
        facts = {"part": "test", "rate": RATE, "seen": SEEN, "steps": STEPS}
        provenance = Provenance(
            command=f"{words} --methods {cell.method} --seeds {cell.seed + 1}", versions=versions(),
            processor=processor_name(), seconds=round(time.monotonic() - began, 2), peak_memory_mib=peak_memory_mib(),
            protocol=facts,
        )  # fmt: skip
        return Result(cell, numbers, provenance)

    def page(self, results: Sequence[Result]) -> Page:
        """See `Study.page`."""
        groups = {(r.cell.data, str(r.cell.options["task"]), int(str(r.cell.options["updates"]))) for r in results}
        tables, figures = [], []
        for data, task, updates in sorted(groups):
            its = [r for r in results if (r.cell.data, r.cell.options["task"]) == (data, task)]
            found = {name: [r for r in its if r.cell.method == name] for name in ROWS}
            rows = {name: its for name, its in found.items() if its}
            tables.append(_table(f"{data}, {task}", rows, updates))
            figures += _figure(f"{data}, {task}", rows, updates)
        return Page("Knowledge sharing (Sec. 5.2)", tables, figures)

    def illustrated(self, results: Sequence[Result], runs: Path) -> Page:
        """See `Illustrated.illustrated`."""
        budget = budget_of(self, PLANS, *(result.cell for result in results))
        figures, notes = drawings_of(results, runs, budget)
        page = self.page(results)
        return dataclasses.replace(page, figures=[*figures, *page.figures], notes=notes)


def watched(
    branches: Branches, pair: Pair, updates: int, seed: int, notes: SharingNotes | None = None
) -> Iterator[tuple[str, Interval]]:
    """Shows both streams to two networks; their errors by name, as they come."""
    first, second = (
        _batches(stream, torch.Generator().manual_seed(2 * seed + number))
        for number, stream in enumerate((pair.first, pair.second))
    )
    yield from _errors(branches, pair, 0, notes)
    for update in range(1, updates + 1):
        for _ in range(EVERY):
            branches.learn(next(first))
        branches.update(next(second))
        yield from _errors(branches, pair, update, notes)


def _errors(branches: Branches, pair: Pair, update: int, notes: SharingNotes | None) -> Iterator[tuple[str, Interval]]:
    def ratio(asked: Asked, *, second: bool) -> Interval:
        return asked.ratio(branches.answers(asked.examples.inputs, second=second))

    yield number("second", update), ratio(pair.second_asked, second=True)
    yield number("first", update), ratio(pair.first_asked, second=False)
    if notes is not None:
        notes.add()


def _batches(stream: Examples, generator: torch.Generator) -> Iterator[Examples]:
    """Batches for ever; no row comes twice before all have come, but for the few that no batch is left for."""
    if len(stream.inputs) < BATCH:
        raise InputError(f"got {len(stream.inputs)} windows to learn from; at least {BATCH} were expected")
    while True:
        order = torch.randperm(len(stream.inputs), generator=generator)
        whole = torch.split(order[: len(order) // BATCH * BATCH], BATCH)
        yield from (Examples(stream.inputs[index], stream.targets[index]) for index in whole)


def _table(where: str, rows: dict[str, list[Result]], updates: int) -> Table:
    shown_at = sorted({0, 1, (updates + 1) // 2, updates})
    last = number("second", updates)
    goal = _mean(rows.get(REFERENCE, []), last)
    lines = []
    for name, found in rows.items():
        errors = [_mean(found, number("second", k)) for k in range(updates + 1)]
        columns = [mean_over_seeds([r.numbers[number("second", k)] for r in found]) for k in shown_at]
        first = mean_over_seeds([r.numbers[number("first", updates)] for r in found])
        row = ROWS[name]
        steps = f"{row.steps} + {row.forward}"
        lines.append([name, steps, *columns, first, _share(errors[-1], goal), _needed(errors, goal)])
    title = (
        f"{where}: mean squared error over constant velocity's, of the second network after so many updates, and of "
        "the first at the end; mean ± standard error (seeds). Steps of an update: by backpropagation, and forward only"
    )
    heads = [f"after {k}" for k in shown_at]
    ends = ["first network", f"over {REFERENCE}", "updates to its end"]
    return Table(title, ["learner", "steps", *heads, *ends], lines)


def _figure(where: str, rows: dict[str, list[Result]], updates: int) -> list[UpdateCurves]:
    """None of no rows; those as printed, hundreds of times worse, would press all others into one line."""
    curves = {
        name: [_mean(its, number("second", k)) for k in range(updates + 1)]
        for name, its in rows.items() if not ROWS[name].literal
    }  # fmt: skip
    title = f"A second network's error, {where}; without networks and coordinates as printed"
    return [UpdateCurves(title, [EVERY * k for k in range(updates + 1)], curves, _PLAIN)] if curves else []


def _mean(results: Sequence[Result], name: str) -> float | None:
    found = [result.numbers[name].mean for result in results if name in result.numbers]
    return sum(found) / len(found) if found else None


def _share(error: float | None, goal: float | None) -> str:
    return "-" if error is None or not goal else f"{error / goal:.2f}"


def _needed(errors: Sequence[float | None], goal: float | None) -> str:
    """The first update from which on the mean error is no more than where the reference ends."""
    above = [k for k, error in enumerate(errors) if error is None or goal is None or error > goal]
    needed = above[-1] + 1 if above else 0
    return f"{needed} of {len(errors) - 1}" if needed < len(errors) else "-"


STUDY = SharingStudy()
