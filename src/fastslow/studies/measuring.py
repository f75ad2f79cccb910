"""How a study whose cells need no checkpoint runs one of them: of what budget it is, and what is said of the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from fastslow.errors import InputError
from fastslow.protocol.provenance import peak_memory_mib, processor_name, versions
from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.studies.base import Budget, Study

Plan = TypeVar("Plan")
#: Numbers of a cell by name, and what they depend on besides it.
Measured = tuple[Mapping[str, Interval], Mapping[str, Any]]


def result_of(
    study: Study,
    plans: Mapping[Budget, Plan],
    cell: Cell,
    measure: Callable[[Cell, Plan], Measured],
    *,
    options: str = "",
) -> Result:
    """Measures a cell and says by which command, for how long and on what.

    Args:
        study: that it is of.
        plans: what each budget is.
        cell: to be measured.
        measure: gives its numbers, under the plan of its budget.
        options: of the command, that leave less than the whole study to be run.

    Raises:
        ValueError: if it is no cell of the study; else see `measure`.
    """
    budget = budget_of(study, plans, cell)
    began = time.monotonic()
    numbers, facts = measure(cell, plans[budget])
    provenance = Provenance(
        command=f"fastslow reproduce {study.name} --budget {budget} --data {cell.data} {options}".rstrip(),
        versions=versions(), processor=processor_name(), seconds=round(time.monotonic() - began, 2),
        peak_memory_mib=peak_memory_mib(), protocol=facts,
    )  # fmt: skip
    return Result(cell, numbers, provenance)


def budget_of(study: Study, budgets: Iterable[Budget], cell: Cell, *others: Cell) -> Budget:
    """The budget that cells of one data set are of.

    Raises:
        ValueError: if they are no cells of one budget of the study.
    """
    for budget in budgets:
        cells = study.cells(budget, cell.data)
        if all(its in cells for its in (cell, *others)):
            return budget
    raise InputError(f"{cell.key} is no cell of study {study.name}; take one of its cells")
