"""None of these: how well a stream learner tells examples of classes that it has never been shown from others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from fastslow.estimators.answers import NOVELTY
from fastslow.estimators.stream_memory import Limits, StreamMemory
from fastslow.protocol.fewshot import TEST_SEED, accuracy_with_interval
from fastslow.protocol.result import Cell, Result
from fastslow.report.tables import mean_over_seeds
from fastslow.studies.base import Budget, Page, Table
from fastslow.studies.measuring import Measured, result_of
from fastslow.studies.shipped import MODEL, drawn_classes, refuse_too_few, shipped_prior, test_features

#: Known classes and examples of each.
TASKS = tuple((ways, shots) for ways in (5, 20, 100) for shots in (1, 5))
#: What is measured, with its column.
NUMBERS = {
    "auroc": "AUROC of novelty",
    "unseen_rejected": "unseen rejected at the usual threshold",
    "known_rejected": "known rejected at it",
    "accuracy": "accuracy on the known",
    "nearest_mean": "that of the nearest class mean",
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a budget is.

    Attributes:
        data: that it is for.
        ways: most known classes.
        episodes: how many, of each task.
    """

    data: str
    ways: int
    episodes: int


#: By budget.
PLANS: dict[Budget, Plan] = {
    "quick": Plan("glyphs", 20, 20), "cpu": Plan("omniglot", 100, 300), "paper": Plan("omniglot", 100, 1000),
}  # fmt: skip


class OpenSetStudy:
    """Some classes known, queries of them and as many of all others."""

    name = "open-set"

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """See `Study.cells`."""
        plan = PLANS[budget]
        return [
            Cell(self.name, "stream", data or plan.data,
                 {"task": f"{ways}w{shots}s", "episodes": plan.episodes, "model": MODEL}, 0)
            for ways, shots in TASKS if ways <= plan.ways
        ]  # fmt: skip

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`.

        Raises:
            ValueError: if it is no cell of this study.
        """
        return result_of(self, PLANS, cell, _measured)

    def page(self, results: Sequence[Result]) -> Page:
        """See `Study.page`."""
        rows = [
            [
                str(r.cell.options["task"]),
                *(mean_over_seeds([r.numbers[name]]).removesuffix(" (1)") for name in NUMBERS),
            ]
            for r in results
        ]
        where = " and on ".join(dict.fromkeys(f"{r.cell.data} test classes" for r in results))
        title = f"Half of the queries of known classes, half of others, {where}; AUROC and shares in %"
        return Page("None of these", [Table(title, ["known", *NUMBERS.values()], rows)])


def _measured(cell: Cell, plan: Plan) -> Measured:
    ways, shots = (int(part) for part in str(cell.options["task"]).rstrip("s").split("w"))
    features, facts = test_features(cell.data)
    refuse_too_few(features, ways, shots, cell.data)
    generator = torch.Generator().manual_seed(TEST_SEED)
    found = [_episode(features, ways, shots, generator) for _ in range(plan.episodes)]
    numbers = {name: accuracy_with_interval(torch.tensor([one[name] for one in found])) for name in NUMBERS}
    return numbers, {**facts, "episodes": plan.episodes, "seed": TEST_SEED, "threshold": NOVELTY}


def _episode(
    features: Float[Tensor, "classes each features"], ways: int, shots: int, generator: torch.Generator
) -> dict[str, float]:
    """Teaches some classes and asks."""
    known, rest = drawn_classes(features, ways, generator)
    support, queries = known[:, :shots], known[:, shots:].flatten(0, 1)
    labels = torch.arange(ways).repeat_interleave(known.shape[1] - shots)
    others = features[rest].flatten(0, 1)
    unseen = others[torch.randperm(len(others), generator=generator)[: len(queries)]]
    memory = StreamMemory(features.shape[2], shipped_prior(), Limits(10_000, None, "merge"), slow=True)
    memory.learn(support.flatten(0, 1), torch.arange(ways).repeat_interleave(shots).tolist())
    look, beyond = memory.look(queries), memory.look(unseen)
    near, far = look.far.amin(1).sqrt(), beyond.far.amin(1).sqrt()
    nearest = torch.cdist(queries, support.mean(1)).argmin(1)
    return {
        "auroc": auroc(near, far),
        "unseen_rejected": float((far > NOVELTY).double().mean()),
        "known_rejected": float((near > NOVELTY).double().mean()),
        "accuracy": float((look.likelihood.argmax(1) == labels).double().mean()),
        "nearest_mean": float((nearest == labels).double().mean()),
    }


def auroc(lower: Float[Tensor, " known"], higher: Float[Tensor, " unknown"]) -> float:
    """How often a number of the second kind is above one of the first, a tie being half (area under the ROC curve)."""
    ranked = lower.sort().values
    below = torch.searchsorted(ranked, higher).double() + torch.searchsorted(ranked, higher, right=True)
    return float(below.mean() / 2 / len(lower))


STUDY = OpenSetStudy()
