"""What the studies of the stream learner share: one shipped model's features, and the budget that a cell is of."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from fastslow.core.gaussian import ClassStatistics
from fastslow.errors import InputError
from fastslow.estimators.statistics import statistics_of
from fastslow.methods.files import TrainedModel, load_model
from fastslow.protocol.result import Cell
from fastslow.studies.base import Budget, Study

#: What makes features: trained on characters.
MODEL = "pretrained:omniglot-5w1s-fast"


@functools.cache
def shipped_model() -> TrainedModel:
    """The model, read once in a process."""
    return load_model(MODEL)


@functools.cache
def shipped_prior() -> ClassStatistics | None:
    """How its features of classes spread."""
    return statistics_of(MODEL, shipped_model().method.encoder)


def budget_of(study: Study, budgets: Iterable[Budget], cell: Cell) -> Budget:
    """The budget that a cell is of.

    Raises:
        ValueError: if it is no cell of the study.
    """
    for budget in budgets:
        if cell in study.cells(budget, cell.data):
            return budget
    raise InputError(f"{cell.key} is no cell of study {study.name}; take one of its cells")
