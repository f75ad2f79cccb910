"""Wrong labels: how much a stream learner knows of classes of which some examples have another class's label."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from fastslow.estimators.stream_memory import Limits, StreamMemory
from fastslow.protocol.fewshot import TEST_SEED, accuracy_with_interval
from fastslow.protocol.hardness import wrong_labels
from fastslow.protocol.result import Cell, Interval, Result
from fastslow.studies.base import Budget, Page, Table
from fastslow.studies.measuring import Measured, result_of
from fastslow.studies.shipped import MODEL, drawn_classes, refuse_too_few, shipped_prior, test_features

#: Known classes; examples of each; shares of them that have another class's label.
WAYS, SHOTS, SHARES = (5, 20), 5, (0.0, 0.1, 0.2, 0.3, 0.4)
#: What is measured, with its column.
NUMBERS = {
    "doubting": "doubt_labels=True",
    "believing": "doubt_labels=False",
    "nearest_mean": "nearest class mean",
    "gain": "doubting over nearest class mean",
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a budget is.

    Attributes:
        data: that it is for.
        episodes: how many, of each task.
    """

    data: str
    episodes: int


#: By budget.
PLANS: dict[Budget, Plan] = {
    "quick": Plan("glyphs", 20), "cpu": Plan("omniglot", 1000), "paper": Plan("omniglot", 1000),
}  # fmt: skip


class WrongLabelsStudy:
    """Classes of five examples, some of them mislabelled; queries have their own labels."""

    name = "wrong-labels"

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """See `Study.cells`."""
        plan = PLANS[budget]
        options = {"episodes": plan.episodes, "model": MODEL}
        return [
            Cell(self.name, "stream", data or plan.data,
                 {"task": f"{ways}w{SHOTS}s", "wrong_labels": share, **options}, 0)
            for ways in WAYS for share in SHARES
        ]  # fmt: skip

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`.

        Raises:
            ValueError: if it is no cell of this study, or its data have too few classes or images.
        """
        return result_of(self, PLANS, cell, _measured)

    def page(self, results: Sequence[Result]) -> Page:
        """See `Study.page`."""
        rows = [
            [
                f"{r.cell.options['task']}, {100 * float(r.cell.options['wrong_labels']):.0f} %",
                *(_shown(r.numbers[name]) for name in NUMBERS),
            ]
            for r in results
        ]
        where = " and on ".join(dict.fromkeys(f"{r.cell.data} test classes" for r in results))
        title = (
            f"% right on queries of known classes, {where}, features of {MODEL}; mean and 95 % interval over episodes"
        )
        return Page("Wrong labels", [Table(title, ["known, wrong labels", *NUMBERS.values()], rows)])


def _measured(cell: Cell, plan: Plan) -> Measured:
    ways, share = int(str(cell.options["task"]).partition("w")[0]), float(cell.options["wrong_labels"])
    features, facts = test_features(cell.data)
    refuse_too_few(features, ways, SHOTS, cell.data)
    episodes, labels = (torch.Generator().manual_seed(TEST_SEED) for _ in range(2))
    found = [_episode(features, ways, share, episodes, labels) for _ in range(plan.episodes)]
    numbers = {name: _interval(name, [one[name] for one in found]) for name in NUMBERS}
    return numbers, {**facts, "episodes": plan.episodes, "seed": TEST_SEED}


def _episode(
    features: Float[Tensor, "classes each features"],
    ways: int,
    share: float,
    episodes: torch.Generator,
    labels: torch.Generator,
) -> dict[str, float]:
    """Teaches some classes, some examples under another's name, and asks; right labels are drawn apart from wrong."""
    known, _ = drawn_classes(features, ways, episodes)
    support, queries = known[:, :SHOTS].flatten(0, 1), known[:, SHOTS:].flatten(0, 1)
    taught, right = (torch.arange(ways).repeat_interleave(n) for n in (SHOTS, known.shape[1] - SHOTS))
    if share:
        taught = wrong_labels(taught[None], share, ways, labels)[0]
    answers = {}
    for name, doubt in (("doubting", True), ("believing", False)):
        limits = Limits(10_000, None, "merge")
        memory = StreamMemory(features.shape[2], shipped_prior(), limits, slow=True, doubt=doubt)
        memory.learn(support, taught.tolist())
        numbers = torch.tensor([int(str(label)) for label in memory.labels])
        answers[name] = numbers[memory.look(queries).likelihood.argmax(1)]
    shown = torch.unique(taught)
    means = torch.stack([support[taught == label].mean(0) for label in shown.tolist()])
    answers["nearest_mean"] = shown[torch.cdist(queries, means).argmin(1)]
    found = {name: float((answer == right).double().mean()) for name, answer in answers.items()}
    return {**found, "gain": found["doubting"] - found["nearest_mean"]}


def _interval(name: str, values: Sequence[float]) -> Interval:
    """Mean of episodes; a gain may be below 0, and is in points."""
    if name != "gain":
        return accuracy_with_interval(torch.tensor(values))
    return Interval.of([100 * value for value in values], "points")


def _shown(number: Interval) -> str:
    scale = 1 if number.unit == "points" else 100
    half = "" if number.half_width is None else f" ± {scale * number.half_width:.2f}"
    return f"{scale * number.mean:.2f}{half}"


STUDY = WrongLabelsStudy()
