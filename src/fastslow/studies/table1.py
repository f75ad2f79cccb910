"""The paper's Table 1 (Sec. 4.1): every method under one protocol, each trained for the same time on one thread."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastslow.errors import InputError
from fastslow.methods.maml import PUBLISHED
from fastslow.protocol.cost import learning_cost
from fastslow.protocol.result import Cell, Result
from fastslow.studies.base import Budget, Page
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_study import go_on
from fastslow.studies.table1_harder import measure_all, measurements
from fastslow.studies.table1_page import table1_page

#: Ways, and shots that a model trained at one shot is measured at.
WAYS, SHOTS = (5, 20), (1, 5)
_SEEDS = range(3)
_MAML = {name: list(value) if isinstance(value, tuple) else value for name, value in PUBLISHED.items()}
_ON_ENCODER: dict[str, Any] = {"shares": (0.4, 0.6, 0.0)}
#: Rows by name: what they have other than the defaults of `FewShotConfig`. MANN's controller learns on the features of
#: an encoder trained before it, which is far quicker than both together from nothing, and so does the paper's setting,
#: which learns slowly. With eight views, ours is trained to its end on one, as eight passes a step would be most of its
#: minutes.
ROWS: dict[str, dict[str, Any]] = {
    "nmn": {"method": "nmn"},
    "mann": {"method": "mann", **_ON_ENCODER},
    "maml": {"method": "maml", "model": _MAML},
    "maml-transductive": {"method": "maml", "model": _MAML, "control": "transductive"},
    "fomaml": {"method": "fomaml", "model": _MAML},
    "mamlpp": {"method": "mamlpp", "model": _MAML},
    "mamlpp-transductive": {"method": "mamlpp", "model": _MAML, "control": "transductive"},
    "metanet": {"method": "metanet"},
    "protonet": {"method": "protonet"},
    "matching": {"method": "matching"},
    "relation": {"method": "relation"},
    "surprise": {"method": "surprise"},
    "fastslow-paper": {"method": "fastslow", "preset": "paper", **_ON_ENCODER},
    "fastslow": {"method": "fastslow"},
    "fastslow-views": {"method": "fastslow", "model": {"views": True}, "shares": (0.85, 0.15, 0.0)},
}
#: Rows of which each measurement has so many times fewer episodes: fine-tuning on a 20-way 5-shot task takes 6 seconds.
FEWER = {"nmn": 10}
#: Tasks a step of the rows of MAML and its kin at 20 ways. Five minutes on one thread are 105 steps of 16 tasks, as all
#: other trainings and the published ones have, and 430 of 4: 47.1 and 62.9 % right on validation classes.
_MAML_TASKS = 4
#: Rows that learn on the features of so many times as many images: with a "cpu" budget, of all.
_MORE_IMAGES = {"mann": 4, "fastslow-paper": 4}
#: Methods whose memory has a slot for each example.
_ONE_SLOT_EACH = ("fastslow", "mann", "nmn")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a budget is.

    Attributes:
        data: that it is for.
        minutes: of training, each run.
        ways: of its cells.
        seeds: how many.
        episodes: of each measurement at one and five shots.
        hard_episodes: of each of the harder tests, see `studies.table1_harder`.
        cached_images: see `FewShotConfig.cached_images`, and `_MORE_IMAGES`; to embed them takes some hundredths of the
            minutes, on top.
    """

    data: str
    minutes: float
    ways: Sequence[int]
    seeds: int
    episodes: int
    hard_episodes: int
    cached_images: int


#: By budget. "paper" is for a GPU.
PLANS: dict[Budget, Plan] = {
    "quick": Plan("glyphs", 0.2, (5,), 1, 100, 20, 1000),
    "cpu": Plan("omniglot", 20.0, WAYS, 3, 1000, 300, 2**15),
    "paper": Plan("omniglot", 180.0, WAYS, 3, 1000, 1000, 2**17),
}


class Table1Study:
    """Accuracy at one and five shots and in harder tests, beside what it costs to learn a task."""

    name = "table1"

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """See `Study.cells`; first all rows of one seed and way."""
        plan = PLANS[budget]
        if data is not None:
            plan = dataclasses.replace(plan, data=data)
        return [
            _cell(_config(row, plan, way, seed), row) for seed in range(plan.seeds) for way in plan.ways for row in ROWS
        ]

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`; goes on from a checkpoint where there is one.

        Raises:
            ValueError: if it is no cell of this study.
        """
        plan, config = _planned(cell)
        fewer = FEWER.get(str(cell.options["row"]), 1)
        wanted, notes = measurements(
            config, shots=SHOTS[1:], episodes=plan.episodes // fewer, hard_episodes=plan.hard_episodes // fewer
        )
        for note in notes:
            warnings.warn(note, stacklevel=2)
        trained = go_on(config, folder, {}, episodes=plan.episodes // fewer)
        protocol = trained.provenance.protocol
        measured = measure_all(folder, config, wanted, part=protocol["part"])
        for note in measured.notes:
            warnings.warn(note, stacklevel=2)
        numbers = {"accuracy": trained.numbers["accuracy"]}
        numbers |= {f"{name}, 1-shot": number for name, number in list(trained.numbers.items())[1:]}
        numbers |= measured.numbers | learning_cost(folder, n_way=config.way, n_shot=config.shot)
        facts = {"measurements": measured.facts, "notes": [*protocol["notes"], *notes, *measured.notes]}
        provenance = dataclasses.replace(trained.provenance, protocol={**protocol, **facts})
        return dataclasses.replace(trained, cell=cell, numbers=numbers, provenance=provenance)

    def page(self, results: Sequence[Result]) -> Page:
        """See `Study.page`."""
        return table1_page(results)


def _config(row: str, plan: Plan, way: int, seed: int) -> FewShotConfig:
    """The training of one row: at one shot, with room for five."""
    changes = {"model": {}, **ROWS[row]}
    model: Mapping[str, Any] = changes.pop("model")
    one_each = changes["method"] in _ONE_SLOT_EACH and changes.get("preset", "default") == "default"
    room = {"num_slots": way * max(SHOTS) + 1} if one_each else {}
    if "maml" in row and way > WAYS[0]:
        changes["tasks"] = _MAML_TASKS
    return FewShotConfig(
        data=plan.data, way=way, seed=seed, minutes=plan.minutes, model={**room, **model},
        cached_images=plan.cached_images * _MORE_IMAGES.get(row, 1), **changes,
    )  # fmt: skip


def _cell(config: FewShotConfig, row: str) -> Cell:
    cell = config.cell()
    return dataclasses.replace(cell, study=Table1Study.name, options={**cell.options, "row": row})


def config_of(cell: Cell) -> FewShotConfig:
    """The training of a cell.

    Raises:
        ValueError: if it is no cell of this study.
    """
    return _planned(cell)[1]


def _planned(cell: Cell) -> tuple[Plan, FewShotConfig]:
    """The budget that a cell is of, and its training."""
    row, ways = str(cell.options.get("row")), str(cell.options.get("task")).partition("w")[0]
    for usual in PLANS.values():
        plan = dataclasses.replace(usual, data=cell.data)
        if row in ROWS and ways in map(str, plan.ways) and cell.seed < plan.seeds:
            config = _config(row, plan, int(ways), cell.seed)
            if _cell(config, row) == cell:
                return plan, config
    raise InputError(f"{cell.key} is no cell of study {Table1Study.name}; take one of its cells")


STUDY = Table1Study()
