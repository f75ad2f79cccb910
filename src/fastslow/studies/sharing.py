"""Knowledge sharing (the paper's Sec. 5.2): a second network learns from a few examples, helped by a first one."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from fastslow.errors import InputError, shown
from fastslow.protocol.result import Cell, Interval, Result
from fastslow.report.figures.update_curves import UpdateCurves
from fastslow.report.tables import mean_over_seeds
from fastslow.studies import sharing_images, sharing_tracks
from fastslow.studies.base import Budget, Page, Table
from fastslow.studies.measuring import Measured, budget_of, result_of
from fastslow.studies.sharing_data import Examples, Pair
from fastslow.studies.sharing_learners import BATCH, LATELY, REFERENCE, ROWS, Branches, Course
from fastslow.studies.sharing_page import SharingNotes, drawn_of, is_drawn, number
from fastslow.studies.track_drawings import with_drawings

#: Iterations from one update of the second network to the next; the first comes after as many.
EVERY = 100
#: Pairs that there are, by data; and by what unit their numbers are in, what that is, and of what.
TASKS = {**sharing_tracks.TASKS, **sharing_images.TASKS}
_UNITS = {
    sharing_tracks.UNIT: ("constant velocity", "mean squared error"),
    sharing_images.UNIT: ("guessing", "cross entropy"),
}


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
        left_out = "classes" if data in sharing_tracks.TASKS else "errors"
        rows = [name for name, row in ROWS.items() if not getattr(row, left_out)]
        return [
            Cell(self.name, row, data, {"task": task, "updates": plan.updates, "every": EVERY, "batch": BATCH}, seed)
            for seed in range(plan.seeds) for task in tasks for row in rows
        ]  # fmt: skip

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`.

        Raises:
            ValueError: if it is no cell of this study.
        """
        measure = functools.partial(_measured, folder=folder)
        options = f"--methods {cell.method} --seeds {cell.seed + 1}"
        return result_of(self, PLANS, cell, measure, options=options)

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
        return with_drawings(self.page(results), drawn_of(results), runs, budget)


def _measured(cell: Cell, plan: Plan, *, folder: Path) -> Measured:
    row, task = ROWS[cell.method], str(cell.options["task"])
    pair = pair_of(task, cell.data, cell.seed, literal=row.literal)
    branches = Branches(row, pair.kind, outputs=pair.first.targets.shape[1], seed=cell.seed)
    alike = None if row.mutual else _courses(cell.data, task, cell.seed, row.literal, row.fast)
    notes = SharingNotes(branches, pair) if is_drawn(cell) else None
    numbers = dict(watched(branches, pair, plan.updates, cell.seed, alike, notes))
    if notes is not None:
        notes.write(folder)
    return numbers, pair.facts


def pair_of(task: str, data: str, seed: int, *, literal: bool) -> Pair:
    """Two streams that are asked about what nobody learns, of the test; as printed or not."""
    if data in sharing_images.TASKS:
        return sharing_images.pair_of(task, data, seed)
    return sharing_tracks.pair_of(task, data, seed, places=literal)


@functools.lru_cache(maxsize=4)
def _courses(data: str, task: str, seed: int, literal: bool, fast: bool) -> list[Course]:
    """By update, of first networks that learn alike; one list in a process, none to begin with.

    The seconds of a result are without what was found there.
    """
    return []


def watched(
    branches: Branches,
    pair: Pair,
    updates: int,
    seed: int,
    courses: list[Course] | None = None,
    notes: SharingNotes | None = None,
) -> Iterator[tuple[str, Interval]]:
    """Shows both streams to two networks; their errors by name, as they come.

    Args:
        branches: the networks.
        pair: the streams.
        updates: of the second network.
        seed: of the order of examples.
        courses: of the first network, as far as another one like it has come: it goes on from there without learning
            all that again. What it learns is joined to them.
        notes: take down what is to be drawn.
    """
    first, second = (
        _batches(stream, torch.Generator().manual_seed(2 * seed + number))
        for number, stream in enumerate((pair.first, pair.second))
    )
    yield from _errors(branches, pair, 0, notes)
    for update in range(1, updates + 1):
        _go_on(branches, list(itertools.islice(first, EVERY)), update, courses)
        branches.update(next(second))
        yield from _errors(branches, pair, update, notes, last=update == updates)


def _go_on(branches: Branches, batches: Sequence[Examples], update: int, courses: list[Course] | None) -> None:
    branches.lately = [*branches.lately, *batches][-LATELY:]
    if courses is not None and len(courses) >= update:
        branches.course = courses[update - 1]
        return
    for batch in batches:
        branches.learn(batch)
    if courses is not None:
        courses.append(branches.course)


def _errors(
    branches: Branches, pair: Pair, update: int, notes: SharingNotes | None, *, last: bool = False
) -> Iterator[tuple[str, Interval]]:
    for network, asked in (("second", pair.second_asked), ("first", pair.first_asked)):
        answers = branches.answers(asked.examples.inputs, second=network == "second")
        yield number(network, update), asked.ratio(answers)
        if asked.classes and last:
            yield number(f"{network} right", update), asked.right(answers)
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
    last, right = number("second", updates), number("second right", updates)
    goal = _mean(rows.get(REFERENCE, []), last)
    classes = any(right in result.numbers for found in rows.values() for result in found)
    lines = []
    for name, found in rows.items():
        errors = [_mean(found, number("second", k)) for k in range(updates + 1)]
        named = [*(number("second", k) for k in shown_at), number("first", updates), *([right] if classes else [])]
        columns = [
            mean_over_seeds([r.numbers[which] for r in found if which in r.numbers], unit=False) for which in named
        ]
        row = ROWS[name]
        lines.append([name, f"{row.steps} + {row.forward}", *columns, _share(errors[-1], goal), _needed(errors, goal)])
    plain, error = _units(rows)
    title = (
        f"{where}: {error} over that of {plain}, of the second network after so many updates, and of the first at the "
        "end; mean ± standard error (seeds). Steps of an update: by backpropagation, and forward only"
    )
    heads = [*(f"after {k}" for k in shown_at), "first network", *(["second, % right"] if classes else [])]
    return Table(title, ["learner", "steps", *heads, f"over {REFERENCE}", "updates to its end"], lines)


def _figure(where: str, rows: dict[str, list[Result]], updates: int) -> list[UpdateCurves]:
    """None of no rows; those as printed, hundreds of times worse, would press all others into one line."""
    curves = {
        name: [_mean(its, number("second", k)) for k in range(updates + 1)]
        for name, its in rows.items() if not ROWS[name].literal
    }  # fmt: skip
    title = f"A second network's error, {where}; without networks and coordinates as printed"
    return [UpdateCurves(title, [EVERY * k for k in range(updates + 1)], curves, _units(rows)[0])] if curves else []


def _units(rows: dict[str, list[Result]]) -> tuple[str, str]:
    """What the numbers of rows are over, and of what they are."""
    return _UNITS[next(iter(rows.values()))[0].numbers[number("second", 0)].unit]


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
