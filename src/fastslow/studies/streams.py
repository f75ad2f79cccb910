"""Santoro et al.'s own protocol for MANN: streams of 50 drawings, the n-th of each class answered, then learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastslow.data.registry import load_source
from fastslow.errors import InputError
from fastslow.methods.files import load_model
from fastslow.protocol.features import embed
from fastslow.protocol.fewshot import TEST_SEED
from fastslow.protocol.instances import instance_accuracies
from fastslow.protocol.result import Cell, Result
from fastslow.report.tables import mean_over_seeds
from fastslow.studies.base import Budget, Page, Table
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_study import go_on, measured_on

WAYS, INSTANCES = 5, 10
#: Instances that Table 1 of Santoro et al. (2016) shows, with its numbers for one-hot labels of five classes, %.
SHOWN = (1, 2, 3, 4, 5, 10)
PUBLISHED = {
    "people, published": (34.5, 57.3, 70.1, 71.8, 81.4, 92.4),
    "MANN, published": (36.4, 82.8, 91.0, 92.6, 94.9, 98.1),
}
#: Rows by name: what they have other than the defaults of `FewShotConfig`. MANN is trained on such streams, by default
#: on an encoder trained before; the others on tasks of one shot.
ROWS: dict[str, dict[str, Any]] = {
    "mann": {"method": "mann", "shot": INSTANCES - 1, "queries": 1, "shares": (0.2, 0.8, 0.0)},
    "protonet": {"method": "protonet"},
    "surprise": {"method": "surprise"},
    "fastslow": {"method": "fastslow", "model": {"num_slots": WAYS * INSTANCES + 1}},
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a budget is.

    Attributes:
        data: that it is for.
        minutes: of training, each run.
        seeds: how many.
        episodes: streams, and tasks of the usual measurement.
    """

    data: str
    minutes: float
    seeds: int
    episodes: int


#: By budget.
PLANS: dict[Budget, Plan] = {
    "quick": Plan("glyphs", 0.3, 1, 100),
    "cpu": Plan("omniglot", 60.0, 3, 1000),
    "paper": Plan("omniglot", 180.0, 3, 1000),
}


class StreamsStudy:
    """How often the first, second, ... drawing of a class is recognised, by method."""

    name = "streams"

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """See `Study.cells`; all rows of one seed after another."""
        return [self._cell(config) for config in _configs(PLANS[budget], data)]

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`; goes on from a checkpoint where there is one.

        Raises:
            ValueError: if it is no cell of this study.
        """
        for plan in PLANS.values():
            for config in _configs(plan, cell.data):
                if self._cell(config) == cell:
                    return dataclasses.replace(_measured(config, folder, plan.episodes), cell=cell)
        raise InputError(f"{cell.key} is no cell of study {self.name}; take one of its cells")

    def page(self, results: Sequence[Result]) -> Page:
        """See `Study.page`."""
        rows = []
        for name, changes in ROWS.items():
            found = [result for result in results if result.cell.method == changes["method"]]
            rows.append([name, *(mean_over_seeds([r.numbers[_number(shown)] for r in found]) for shown in SHOWN)])
        rows += [[name, *(f"{number:.1f}" for number in numbers)] for name, numbers in PUBLISHED.items()]
        columns = ["method", *(f"instance {shown}" for shown in SHOWN)]
        measured = " and on ".join(dict.fromkeys(map(measured_on, results)))
        title = (
            f"{WAYS} classes in streams of {WAYS * INSTANCES} drawings, % right on {measured}; instance 1 is a guess, "
            "and where a method never names a class before it was shown, nearly always wrong"
        )
        return Page("Streams: the protocol of Santoro et al. (2016)", [Table(title, columns, rows)])

    def _cell(self, config: FewShotConfig) -> Cell:
        return dataclasses.replace(config.cell(), study=self.name)


def _configs(plan: Plan, data: str | None) -> list[FewShotConfig]:
    base = FewShotConfig(data=data or plan.data, way=WAYS, minutes=plan.minutes, cached_images=2**15)
    return [dataclasses.replace(base, seed=seed, **changes) for seed in range(plan.seeds) for changes in ROWS.values()]


def _measured(config: FewShotConfig, folder: Path, episodes: int) -> Result:
    trained = go_on(config, folder, {}, episodes=episodes)
    method = load_model(folder).method.eval()
    images, split = load_source(
        config.data, data_dir=config.data_dir, split=config.split, image_size=method.encoder.image_size
    )
    held_out = images.select(split.part(trained.provenance.protocol["part"]))
    shares = instance_accuracies(
        method, embed(method, held_out.images), held_out.labels, episodes=episodes, n_way=WAYS, instances=INSTANCES
    )
    numbers = {"accuracy": trained.numbers["accuracy"]} | {_number(i): share for i, share in shares.items()}
    facts = {"n_way": WAYS, "instances": INSTANCES, "episodes": episodes, "seed": TEST_SEED}
    protocol = {**trained.provenance.protocol, "streams": facts}
    return dataclasses.replace(
        trained, numbers=numbers, provenance=dataclasses.replace(trained.provenance, protocol=protocol)
    )


def _number(instance: int) -> str:
    return f"instance {instance}"


STUDY = StreamsStudy()
