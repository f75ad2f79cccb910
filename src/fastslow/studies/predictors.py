"""Which of the paper's three predictors matter (Eq. 9), what they are fitted to, and how many slots a task needs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastslow.errors import InputError
from fastslow.methods.config import CONTROLLERS
from fastslow.protocol.result import Cell, Result
from fastslow.report.tables import mean_over_seeds
from fastslow.studies.base import Budget, Page, Table
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_study import EPISODES, PLANS, measured_on, run_on_encoder

_ALL = " + ".join(CONTROLLERS)
#: Controllers that learn fast, by the name of the row: one or two of the three.
SUBSETS: dict[str, dict[str, Any]] = {
    " + ".join(names): {"model": {"fast_controllers": list(names)}}
    for count in (2, 1)
    for names in itertools.combinations(CONTROLLERS, count)
}
#: Rows by table: what they have other than the preset `paper`.
ROWS: dict[str, dict[str, dict[str, Any]]] = {
    "controllers that learn fast": {_ALL: {}, **SUBSETS, "none": {"control": "fast_path_off"}},
    f"predictors of {_ALL}": {
        "trained by the query loss": {},
        "and fitted to true gradients (Eq. 11)": {"fit_weight": 1.0},
        "told the label alone": {"control": "label_only"},
        "random, not trained": {"control": "random_predictor"},
    },
    "slots of the memory": {
        str(count): {"model": {"num_slots": count}} if count != 10 else {} for count in (5, 10, 20, 40)
    },
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a budget is.

    Attributes:
        data: that it is for.
        steps: of everything but the encoder; of all, where each row trains an encoder of its own.
        seeds: how many.
        episodes: of each measurement.
        encoder_steps: of the encoder that all rows of a seed start from; 0 if each trains its own.
    """

    data: str
    steps: int
    seeds: int
    episodes: int
    encoder_steps: int


#: By budget.
BUDGETS: dict[Budget, Plan] = {
    "quick": Plan("digits", 200, 1, 200, 0),
    "cpu": Plan("omniglot", 6000, 3, EPISODES, PLANS["paper"].encoder_steps),
    "paper": Plan("omniglot", PLANS["paper"].steps, 3, EPISODES, PLANS["paper"].encoder_steps),
}


class PredictorsStudy:
    """The literal design, 5-way 1-shot, one part of it changed in each row."""

    name = "predictors"

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """See `Study.cells`; all rows of one seed after another."""
        return [self._cell(config) for config in _configs(BUDGETS[budget], data)]

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`; goes on from a checkpoint where there is one.

        Raises:
            ValueError: if it is no cell of this study.
        """
        for plan in BUDGETS.values():
            for config in _configs(plan, cell.data):
                if self._cell(config) == cell:
                    encoder = _encoder(plan, cell.data, cell.seed) if config.encoder else None
                    result = run_on_encoder(config, encoder, folder, episodes=plan.episodes)
                    return dataclasses.replace(result, cell=cell)
        raise InputError(f"{cell.key} is no cell of study {self.name}; take one of its cells")

    def page(self, results: Sequence[Result]) -> Page:
        """See `Study.page`."""
        tables = []
        for title, rows in ROWS.items():
            lines = [[name, *_numbers([r for r in results if _is_of(r, changes)])] for name, changes in rows.items()]
            tables.append(Table(title, [title, "accuracy", "fast path off", "prototypes, same encoder"], lines))
        measured = " and on ".join(dict.fromkeys(map(measured_on, results)))
        return Page(f"The paper's predictors: 5-way 1-shot, % right on {measured}", tables)

    def _cell(self, config: FewShotConfig) -> Cell:
        return dataclasses.replace(config.cell(), study=self.name)


def _configs(plan: Plan, data: str | None) -> list[FewShotConfig]:
    """Every run of a budget; what stands in two tables is run once."""
    found = []
    for seed in range(plan.seeds):
        encoder = _encoder(plan, data or plan.data, seed)
        start = Path(f"protonet-paper-{plan.encoder_steps}steps-seed{seed}") if plan.encoder_steps else None
        shares = PLANS["paper"].shares if start else encoder.shares
        base = dataclasses.replace(encoder, method="fastslow", steps=plan.steps, shares=shares, encoder=start)
        found += [dataclasses.replace(base, **changes) for rows in ROWS.values() for changes in rows.values()]
    return [config for index, config in enumerate(found) if config not in found[:index]]


def _encoder(plan: Plan, data: str, seed: int) -> FewShotConfig:
    """The training of the encoder that rows start from."""
    return FewShotConfig(
        data=data, method="protonet", preset="paper", seed=seed, steps=plan.encoder_steps or plan.steps
    )


def _is_of(result: Result, changes: dict[str, Any]) -> bool:
    """Whether a result is of a row."""
    usual = {"model": {}, "control": "none", "fit_weight": 0.0}
    return all(result.cell.options[name] == changes.get(name, value) for name, value in usual.items())


def _numbers(results: Sequence[Result]) -> list[str]:
    names = ("accuracy", "fast_path_off", "protonet")
    return [mean_over_seeds([r.numbers[name] for r in results if name in r.numbers]) for name in names]


STUDY = PredictorsStudy()
