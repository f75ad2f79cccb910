"""The questions that a stream learner answers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import torch

from fastslow.alone import alone
from fastslow.core.gaussian import ClassDistances
from fastslow.data.checks import refuse_unless_positive, refuse_unless_whole
from fastslow.data.pillow import without_pillow
from fastslow.errors import InputError, shown, shown_reason
from fastslow.estimators.conventions import as_array, in_order
from fastslow.estimators.learned import Learned
from fastslow.estimators.stream_memory import StreamMemory

#: Distance, in units of a class's spread, from which on an example is of none of the classes; and what likelihoods are
#: divided by. Both were chosen on validation classes of `omniglot-5w1s-fast`. Where features are of no model whose
#: statistics are known, likelihoods are divided by less: best by log loss for the data that ship with scikit-learn.
NOVELTY, TEMPERATURE, PLAIN_TEMPERATURE = 1.07, 6.0, 1.25
_LARGEST = 1e300


class Explanation(NamedTuple):
    """An example that an answer is from.

    Attributes:
        label: its class.
        example: its id, see `FastSlowClassifier.examples_`; of several merged ones, that of the first.
        weight: its share of the answer, in [0, 1].
    """

    label: Hashable
    example: int
    weight: float


class Answer(NamedTuple):
    """All that is to be said about one example.

    Attributes:
        label: the likeliest.
        novelty: see `Answers.novelty`; not finite where no class has a spread yet.
        unknown: whether it is of none of the classes.
        probabilities: the likeliest labels, each with its probability, the largest first.
    """

    label: Hashable
    novelty: float
    unknown: bool
    probabilities: list[tuple[Hashable, float]]


class Answers(Learned):
    """Answers from a `StreamMemory`; each query is answered as if alone."""

    novelty_threshold: float | None

    @alone
    def decision_function(self, X: Any) -> np.ndarray:  # noqa: ANN401 - as scikit-learn has it
        """Log likelihood of each class, but for a constant, shape (examples, classes), columns as in `classes_`.

        Of two classes, shape (examples,): that of the second over that of the first.
        """
        scores = (self._look(X).likelihood / _temperature(self._known())).numpy()[:, in_order(self._labels())]
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    @alone
    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: ANN401 - as scikit-learn has it
        """Probabilities of the classes, columns as in `classes_`: of those known, none of them being no answer."""
        return (
            (self._look(X).likelihood.double() / _temperature(self._known()))
            .softmax(1)
            .numpy()[:, in_order(self._labels())]
        )

    def predict(self, X: Any, unknown: Hashable | None = None) -> np.ndarray:  # noqa: ANN401
        """The likeliest label of each example.

        Args:
            X: examples.
            unknown: what to answer where `novelty` is above 1; None answers with a class in any case.
        """
        return as_array(self._answers(X, unknown))

    @alone
    def novelty(self, X: Any) -> np.ndarray:  # noqa: ANN401 - as scikit-learn has it
        """Distance of each example from the nearest class over the threshold: above 1 it is of none of them."""
        return self._novelty(self._look(X))

    @alone
    def explain(self, X: Any, top: int = 3) -> list[list[Explanation]]:  # noqa: ANN401
        """The examples that each answer comes from, those of most weight first.

        Args:
            X: examples.
            top: how many for each.
        """
        names, kept = self._labels(), self.memory_.examples
        top = refuse_unless_whole("top", top, 1)
        weights = (self.memory_.weigh(self._made(X)) / _temperature(self._known())).softmax(
            1
        ) * self.memory_.knowledge.shares()
        weights = weights / weights.sum(1, keepdim=True)
        found = weights.topk(min(top, len(kept)), dim=1)
        return [
            [
                Explanation(names[int(kept.classes[row])], int(kept.ids[row]), weight)
                for row, weight in zip(rows, shares, strict=True)
            ]
            for rows, shares in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        ]

    def predict_one(self, x: Any, unknown: Hashable | None = None) -> Hashable:  # noqa: ANN401
        """As `predict`, of one example without its first axis."""
        return self._answers(as_one(x), unknown)[0]

    @alone
    def predict_proba_one(self, x: Any) -> dict[Hashable, float]:  # noqa: ANN401
        """As `predict_proba`, of one example, by label."""
        names = self._labels()
        shares = self.predict_proba(as_one(x))[0]
        return {names[place]: float(share) for place, share in zip(in_order(names), shares, strict=True)}

    @alone
    def _answers(self, X: Any, unknown: Hashable | None) -> list[Hashable]:  # noqa: ANN401
        look, names = self._look(X), self._labels()
        answers = [names[best] for best in look.likelihood.numpy().argmax(1).tolist()]
        if unknown is None:
            return answers
        new = ~(self._novelty(look) <= 1)
        return [unknown if far else answer for far, answer in zip(new.tolist(), answers, strict=True)]

    def _novelty(self, look: ClassDistances) -> np.ndarray:
        far: np.ndarray = (look.far.amin(1).sqrt() / checked_threshold(self.novelty_threshold)).numpy()
        return far

    def _look(self, X: Any) -> ClassDistances:  # noqa: ANN401
        self._labels()
        return self.memory_.look(self._made(X))


def _temperature(known: StreamMemory) -> float:
    """What likelihoods are divided by."""
    return PLAIN_TEMPERATURE if known.prior is None else TEMPERATURE


@alone
def answers_in_full(learner: Answers, X: Any, top: int = 5) -> list[Answer]:  # noqa: ANN401 - as scikit-learn has it
    """`predict`, `novelty` and `predict_proba` of each example, which is looked at once.

    Args:
        learner: to ask.
        X: examples.
        top: how many probabilities of each.

    Raises:
        ValueError: if nothing has been learned, or the examples cannot be used.
    """
    top = refuse_unless_whole("top", top, 1)
    look, names = learner._look(X), learner._labels()
    best = look.likelihood.numpy().argmax(1).tolist()
    shares = (look.likelihood.double() / _temperature(learner._known())).softmax(1)
    found = shares.topk(min(top, len(names)), dim=1)
    return [
        Answer(names[number], far, not far <= 1, [(names[i], p) for i, p in zip(numbers, values, strict=True)])
        for number, far, numbers, values in zip(
            best, learner._novelty(look).tolist(), found.indices.tolist(), found.values.tolist(), strict=True
        )
    ]


def checked_threshold(threshold: Any) -> float:  # noqa: ANN401 - from users
    """The distance from which on an example is unknown; the usual one for None.

    Raises:
        ValueError: if it is no positive number.
    """
    if threshold is None:
        return NOVELTY
    number = refuse_unless_positive("novelty_threshold", threshold, "about 1")
    if number > _LARGEST:
        raise InputError(f"got novelty_threshold={shown(threshold)}; a positive number was expected, about 1")
    return number


def as_one(x: Any) -> Any:  # noqa: ANN401 - whatever users have
    """One example as a batch of one."""
    if isinstance(x, torch.Tensor | np.ma.MaskedArray):
        return x[None]
    try:
        return np.asarray(without_pillow(x))[None]
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"the example cannot be made an array: {shown_reason(error)}") from error
