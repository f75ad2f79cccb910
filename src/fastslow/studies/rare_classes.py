"""Rare classes in a stream (the paper's Sec. 5.1): half of the classes turn up in one batch of hundreds."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.data.base import ClassImages
from fastslow.data.registry import load_source
from fastslow.protocol.features import embed, to_unit
from fastslow.protocol.result import Cell, Interval, Result
from fastslow.report.figures.exposures import Exposures
from fastslow.report.tables import mean_over_seeds
from fastslow.studies.base import Budget, Page, Table
from fastslow.studies.measuring import Measured, result_of
from fastslow.studies.rare_gradients import course_of, numbers_of
from fastslow.studies.rare_learners import LEARNERS, SEE_IMAGES, Learner, Online, Setting
from fastslow.studies.shipped import MODEL, shipped_model, shipped_prior

#: Images of a batch.
BATCH = 10
#: Characters of Omniglot, half of them rare; of those that the model was not trained on.
_CHARACTERS = 50
#: One image in so many of each class is for the test: the last ones, which in MNIST are its test images.
_TESTED = 7


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a budget is.

    Attributes:
        data: that it is for.
        every: batches from one of rare classes to the next, that one counted.
        exposures: batches of rare classes.
        seeds: how many.
    """

    data: str
    every: int
    exposures: int
    seeds: int


#: By budget; the paper has 500 batches, and says not how often.
PLANS: dict[Budget, Plan] = {
    "quick": Plan("digits", 50, 3, 2), "cpu": Plan("mnist", 500, 5, 5), "paper": Plan("mnist", 500, 10, 5),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class StreamData:
    """Features to learn and to be asked about.

    Attributes:
        shown: features of the stream's images, shape (images, features).
        labels: their classes.
        asked: features of the test images.
        answers: their classes.
        num_classes: the second half of them is rare.
    """

    shown: Float[Tensor, "images features"]
    labels: Int64[Tensor, " images"]
    asked: Float[Tensor, "tested features"]
    answers: Int64[Tensor, " tested"]
    num_classes: int

    @property
    def first_rare(self) -> int:
        """The number of the first rare class."""
        return self.num_classes // 2


class RareClassesStudy:
    """How well classes are known that turn up once in hundreds of batches, and how well the others."""

    name = "rare-classes"

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """See `Study.cells`; all rows of one seed after another."""
        plan = PLANS[budget]
        options = {"task": f"{plan.every} batches", "exposures": plan.exposures, "batch": BATCH, "model": MODEL}
        return [
            Cell(self.name, row, data or plan.data, options, seed) for seed in range(plan.seeds) for row in LEARNERS
        ]

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`.

        Raises:
            ValueError: if it is no cell of this study.
        """
        return result_of(self, PLANS, cell, _measured, options=f"--methods {cell.method} --seeds {cell.seed + 1}")

    def page(self, results: Sequence[Result]) -> Page:
        """See `Study.page`."""
        last = max(int(str(result.cell.options["exposures"])) for result in results)
        shown = sorted({1, min(2, last), last})
        named = {name: [r for r in results if r.cell.method == name] for name in LEARNERS}
        rows = {name: found for name, found in named.items() if found}
        columns = {f"rare, after {k}": number("rare", k) for k in shown}
        columns |= {f"rare, before {k + 1}": number("rare", k, later=True) for k in shown if k < last}
        columns |= {f"frequent, after {k}": number("frequent", k) for k in shown}
        lines = [
            [name, *(mean_over_seeds([r.numbers[n] for r in found if n in r.numbers]) for n in columns.values())]
            for name, found in rows.items()
        ]
        every = " or ".join(dict.fromkeys(str(r.cell.options["task"]) for r in results))
        where = " and on ".join(dict.fromkeys(r.cell.data for r in results))
        title = (
            f"% right on unseen images of {where}, a batch of rare classes every {every}: mean ± standard error (seeds)"
        )
        curves = {name: [_mean(found, n) for n in _moments(last)] for name, found in rows.items()}
        figure = Exposures("Rare classes, right after each of their batches and right before the next", curves)
        tables, figures = [Table(title, ["learner", *columns], lines)], [figure]
        gradients = course_of(results, every=_every(results), exposures=last)
        return Page(
            "Rare classes in a stream (Sec. 5.1)", tables, figures if gradients is None else [*figures, gradients]
        )


def _measured(cell: Cell, plan: Plan) -> Measured:
    data, facts = stream_data(cell.data, pixels=cell.method in SEE_IMAGES)
    setting = Setting(shipped_model().method.encoder, shipped_prior(), data.num_classes, cell.seed)
    learner = LEARNERS[cell.method](setting)
    numbers = dict(watched(learner, data, plan, cell.seed))
    if isinstance(learner, Online):
        numbers |= numbers_of(learner.course, every=plan.every)
    return numbers, facts


def number(kind: str, exposure: int, *, later: bool = False) -> str:
    """What an accuracy on "rare" or "frequent" classes is called: right after a batch of rare ones, or later."""
    return f"{kind}, {'before' if later else 'after'} {exposure + later}"


def watched(learner: Learner, data: StreamData, plan: Plan, seed: int) -> Iterator[tuple[str, Interval]]:
    """Shows a stream to a learner; its accuracies by name, as they come."""
    generator = torch.Generator().manual_seed(seed)
    rare = data.labels >= data.first_rare
    for exposure in range(1, plan.exposures + 1):
        for index in torch.split(_drawn(~rare, (plan.every - 1) * BATCH, generator), BATCH):
            learner.learn(data.shown[index], data.labels[index])
        if exposure > 1:
            yield from _accuracies(learner, data, exposure - 1, later=True)
        index = _drawn(rare, BATCH, generator)
        learner.learn(data.shown[index], data.labels[index])
        yield from _accuracies(learner, data, exposure)


def _accuracies(
    learner: Learner, data: StreamData, exposure: int, *, later: bool = False
) -> Iterator[tuple[str, Interval]]:
    right = (learner.answer(data.asked) == data.answers).double()
    rare = data.answers >= data.first_rare
    for kind, which in (("rare", rare), ("frequent", ~rare)):
        share, count = float(right[which].mean()), int(which.sum())
        yield number(kind, exposure, later=later), Interval(share, 1.96 * math.sqrt(share * (1 - share) / count), count)


def _drawn(which: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Images of some classes at random; none twice before all have been drawn."""
    places = torch.nonzero(which).flatten()
    rounds = [places[torch.randperm(len(places), generator=generator)] for _ in range(-(-count // len(places)))]
    return torch.cat(rounds)[:count]


@functools.lru_cache(maxsize=1)
def stream_data(name: str, *, pixels: bool = False) -> tuple[StreamData, dict[str, Any]]:
    """Features of a data set, or its pixels in [0, 1], made once in a process, and what numbers on them depend on."""
    images, split = load_source(name, image_size=shipped_model().config.image_size)
    classes = split.part("test" if name == "omniglot" else "all")
    images = images.select(classes[:_CHARACTERS])
    if pixels:
        features = to_unit(images.images).flatten(1)
    else:
        with torch.inference_mode():
            features = embed(shipped_model().method.encoder.folded(), images.images)
    tested = _last_of_each(images)
    kept = ~tested
    facts = {
        "split": split.name, "split_sha256": split.sha256, "classes": images.num_classes, "tested": int(tested.sum()),
    }  # fmt: skip
    features = features.clone()
    return StreamData(
        features[kept], images.labels[kept], features[tested], images.labels[tested], images.num_classes
    ), facts


def _last_of_each(images: ClassImages) -> Tensor:
    """Which images are for the test."""
    tested = torch.zeros(len(images.labels), dtype=torch.bool)
    for label in range(images.num_classes):
        places = torch.nonzero(images.labels == label).flatten()
        tested[places[-max(1, len(places) // _TESTED) :]] = True
    return tested


def _every(results: Sequence[Result]) -> int:
    """Batches from one of rare classes to the next, of the last result."""
    return int(str(results[-1].cell.options["task"]).partition(" ")[0])


def _moments(exposures: int) -> list[str]:
    return [number("rare", k, later=later) for k in range(1, exposures + 1) for later in (False, True)][:-1]


def _mean(results: Sequence[Result], name: str) -> float | None:
    found = [result.numbers[name].mean for result in results if name in result.numbers]
    return sum(found) / len(found) if found else None


STUDY = RareClassesStudy()
