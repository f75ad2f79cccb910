"""Two networks, and what the second is given of the first: rows of the study of sharing."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.core.literal_memory import MemoryNetwork
from fastslow.core.predictors import GradientPredictor, Predictors
from fastslow.methods.config import CONTROLLERS
from fastslow.methods.controls import random_
from fastslow.studies.sharing_data import Examples, Kind
from fastslow.studies.sharing_memories import ErrorsKept, class_logits
from fastslow.training.online import OnlineLearner, forward_only_step

#: Rows of a batch, and steps of its window: as many streams side by side as it takes.
BATCH, _WINDOW = 10, 2
#: Steps on the examples of one update, where it is not one.
_MANY = 40
#: Batches of the first network, lately, of which a memory of classes takes how features spread.
LATELY = 20


@dataclasses.dataclass(frozen=True)
class Row:
    """How the second network learns.

    Attributes:
        predictors: of gradients: its "own", "shared" with the first network, or "random" and never fitted; None for
            plain backpropagation.
        parts: of the first network that the second has as its own: one object, which the first goes on teaching.
        steps: slow steps of an update, with Eq. 10 added where there are predictors.
        forward: steps of an update by Eq. 10 alone, of the output controller, see `forward_only_step`.
        tuned: the second network's Adam has the rate that is best for few updates, see `Kind`.
        start: "fresh"; "copied": from the first network, at the first update; "first": there is no second, and the
            first is asked in its place.
        kept: what updates have shown is kept, and each step of an update is on as many of all that, drawn at random.
        errors: a memory of errors beside the second network, see `ErrorsKept`.
        classes: a memory of classes on the second network's encoder answers in its place, see `class_logits`.
        literal: networks, coordinates and rates as printed.
    """

    predictors: Literal["own", "shared", "random"] | None = None
    parts: tuple[Literal["encoder", "decoder"], ...] = ()
    steps: int = 1
    forward: int = 0
    tuned: bool = False
    start: Literal["fresh", "copied", "first"] = "fresh"
    kept: bool = False
    errors: bool = False
    classes: bool = False
    literal: bool = False

    @property
    def fast(self) -> bool:
        """Whether controllers learn slowly and fast at once, those of the first network too."""
        return self.predictors is not None and not self.forward

    @property
    def mutual(self) -> bool:
        """Whether updates of the second network reach the first: by predictors that both fit."""
        return self.predictors == "shared" and self.steps > 0

    def rate(self, kind: Kind) -> float:
        """Of the second network's Adam."""
        return kind.printed if self.literal else kind.tuned if self.tuned else kind.rate


_BOTH: tuple[Literal["encoder", "decoder"], ...] = ("encoder", "decoder")
#: Rows by name. `shared-decoder` is ours; the rows from `backprop-40` to it lack one part of it each, those after it
#: keep what the second network has been shown, and in `copied-decoder` that begins as the first.
ROWS: dict[str, Row] = {
    "separate-literal": Row("own", literal=True),
    "shared-literal": Row("shared", literal=True),
    "separate": Row("own"),
    "shared": Row("shared"),
    "shared-random": Row("random"),
    "backprop": Row(),
    "backprop-tuned": Row(tuned=True),
    "backprop-40": Row(steps=_MANY),
    "shared-encoder": Row(parts=("encoder",), tuned=True),
    "shared-modules": Row(parts=_BOTH, tuned=True),
    "shared-modules-40": Row(parts=_BOTH, steps=_MANY),
    "shared-decoder-random": Row("random", parts=_BOTH, steps=0, forward=_MANY),
    "shared-decoder": Row("shared", parts=_BOTH, steps=0, forward=_MANY),
    "backprop-40-kept": Row(steps=_MANY, kept=True),
    "shared-modules-40-kept": Row(parts=_BOTH, steps=_MANY, kept=True),
    "shared-decoder-kept": Row("shared", parts=_BOTH, steps=0, forward=_MANY, kept=True),
    "copied": Row(start="copied"),
    "copied-40": Row(start="copied", steps=_MANY),
    "copied-decoder": Row("shared", parts=_BOTH, steps=0, forward=_MANY, start="copied"),
    "first": Row(steps=0, start="first"),
    "errors": Row(steps=0, errors=True),
    "first-errors": Row(steps=0, start="first", errors=True),
    "classes": Row(steps=0, classes=True),
    "shared-classes": Row(parts=("encoder",), steps=0, classes=True),
}
#: What others are compared with: one step an update by backpropagation, as quick as the first stream can tell.
REFERENCE = "backprop-tuned"


#: What a learner and its two optimisers remember.
Course = list[dict[str, Any]]


class Branches:
    """The two networks, their predictors and their learners.

    Args:
        row: see `Row`.
        kind: of examples.
        outputs: numbers of an answer.
        seed: of weights; rows of one seed begin alike.

    Attributes:
        known: what the second network has been shown.
        lately: what the first network has been shown lately, also where it goes on from where another has come to.
    """

    def __init__(self, row: Row, kind: Kind, *, outputs: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.row, self.generator = row, torch.Generator().manual_seed(seed)
        self.known: list[Examples] = []
        self.lately: list[Examples] = []
        networks = [kind.network(outputs, literal=row.literal) for _ in range(2)]
        predictors = [_predictors(kind.dim, outputs) for _ in range(2)]
        for part in row.parts:
            setattr(networks[1], part, getattr(networks[0], part))
        if row.predictors == "shared":
            predictors[1] = predictors[0]
        if row.predictors == "random":
            predictors[1] = Predictors(*(random_(_predictor(kind.dim, outputs)) for _ in CONTROLLERS))
        rate = kind.printed if row.literal else kind.rate
        fit = [_adam(its, rate) for its in predictors]
        if row.predictors == "shared":
            fit[1] = fit[0]
        own = [_adam(networks[0], rate), _adam(networks[1], row.rate(kind), without=networks[0])]
        self.first, self.second = (
            _learner(*its, row, kind) for its in zip(networks, predictors, own, fit, strict=True)
        )
        self.alone = _adam(networks[1].memory.output_controller, row.rate(kind))
        self.errors = ErrorsKept(outputs) if row.errors else None

    def learn(self, batch: Examples) -> None:
        """An iteration of the first network."""
        self.first.step(*_windows(batch))

    def update(self, batch: Examples) -> None:
        """An update of the second, which is all that moves; but for predictors that are shared and are fitted here."""
        if self.row.start == "copied" and not self.known:
            self.second.network.load_state_dict(self.first.network.state_dict())
        self.known.append(batch)
        for _ in range(self.row.steps):
            self.second.step(*_windows(self._some(batch)))
        predictor = self.second.predictors.output
        assert isinstance(predictor, GradientPredictor)
        for _ in range(self.row.forward):
            forward_only_step(self.second.network, predictor, *_windows(self._some(batch)), self.alone)
        if self.errors is not None:
            self.errors.write(batch.inputs, batch.targets - self._second(batch.inputs))

    def _some(self, batch: Examples) -> Examples:
        """The batch of an update; or as many of all that have been shown."""
        if not self.row.kept:
            return batch
        inputs, targets = map(torch.cat, zip(*self.known, strict=True))
        index = torch.randperm(len(inputs), generator=self.generator)[: len(batch.inputs)]
        return Examples(inputs[index], targets[index])

    @property
    def course(self) -> Course:
        """Where the first network's learning has come to; to set it goes on from there."""
        return copy.deepcopy([part.state_dict() for part in self._learning])

    @course.setter
    def course(self, course: Course) -> None:
        for part, state in zip(self._learning, copy.deepcopy(course), strict=True):
            part.load_state_dict(state)

    @property
    def _learning(self) -> tuple[OnlineLearner | torch.optim.Optimizer, ...]:
        assert self.first.fit_optimiser is not None
        return self.first, self.first.optimiser, self.first.fit_optimiser

    def answers(self, inputs: Float[Tensor, "rows *shape"], *, second: bool) -> Float[Tensor, "rows outputs"]:
        """Of either network, each row as if alone; changes nothing."""
        if not second:
            return _answers(self.first.network, inputs)
        if self.row.classes:
            return self._of_classes(inputs)
        wrong = 0.0 if self.errors is None else self.errors.read(inputs)
        return self._second(inputs) + wrong

    def _of_classes(self, inputs: Tensor) -> Tensor:
        if not self.known:
            return torch.zeros(len(inputs), self.second.network.decoder.out_features)
        return class_logits(self.second.network.encoder, inputs, self.known, self.lately)

    def _second(self, inputs: Tensor) -> Tensor:
        return _answers((self.first if self.row.start == "first" else self.second).network, inputs)


@torch.no_grad()
def _answers(network: MemoryNetwork, inputs: Tensor) -> Tensor:
    network.eval()
    answers: Tensor = network(inputs, network.initial_state(len(inputs)))[0]
    network.train()
    return answers


def _predictor(dim: int, outputs: int) -> GradientPredictor:
    return GradientPredictor(dim=dim, target_size=outputs)


def _predictors(dim: int, outputs: int) -> Predictors:
    return Predictors(*(_predictor(dim, outputs) for _ in CONTROLLERS))


def _adam(module: nn.Module, rate: float, *, without: nn.Module | None = None) -> torch.optim.Optimizer:
    """Of all of a module, but for what another one has as well."""
    others = {id(parameter) for parameter in ([] if without is None else without.parameters())}
    return torch.optim.Adam([p for p in module.parameters() if id(p) not in others], lr=rate)


def _learner(
    network: MemoryNetwork,
    predictors: Predictors,
    optimiser: torch.optim.Optimizer,
    fit: torch.optim.Optimizer | None,
    row: Row,
    kind: Kind,
) -> OnlineLearner:
    return OnlineLearner(
        network=network, predictors=predictors, fast_controllers=CONTROLLERS if row.fast else (), loss=kind.loss,
        optimiser=optimiser, fit_optimiser=fit, mix=1.0, clip_synthetic=None if row.literal else 1.0,
    )  # fmt: skip


def _windows(batch: Examples) -> tuple[Tensor, Tensor]:
    inputs, targets = (part.view(_WINDOW, -1, *part.shape[1:]) for part in batch)
    return inputs, targets
