"""A learner for streams: new classes at any time, from one example, on machines that cannot train."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from fastslow.alone import alone
from fastslow.checks import refuse_unless_flag
from fastslow.data.labels import checked_labels, refuse_mixed
from fastslow.data.preparation import Ink
from fastslow.errors import InputError
from fastslow.estimators.answers import as_one
from fastslow.estimators.conventions import Conventions, as_array, as_list, in_order, refuse_continuous
from fastslow.estimators.corrections import Corrections
from fastslow.estimators.eviction import Eviction
from fastslow.estimators.stream_files import load_stream, save_stream
from fastslow.estimators.stream_memory import StreamMemory, checked_limits


class KeptExample(NamedTuple):
    """An example that is kept.

    Attributes:
        example: its id, by which it can be forgotten.
        label: of its class.
        examples: of how many it is the mean; more than 1 where some have been merged.
        belief: how far its label is believed, in [0, 1], see `doubt_labels`; 1 without it.
    """

    example: int
    label: Hashable
    examples: int
    belief: float = 1.0


class FastSlowClassifier(Corrections, Conventions):
    r"""Learns classes from a stream, one example or many at a time, forward only; any number of classes.

    An encoder makes features of examples; they are kept, and a Gaussian model of classes (`core.gaussian`) answers from
    their sums: quickly, for a class is known with its first example, and slowly, for the directions in which classes
    differ are learned from all examples that have come. scikit-learn's conventions are kept. Several threads may use
    one learner: each call waits for the one before.

    Examples:
        >>> from fastslow import FastSlowClassifier
        >>> from fastslow.data import make_glyphs
        >>> drawings = make_glyphs(num_classes=3, per_class=2, seed=3).images.reshape(3, 2, 28, 28)
        >>> learner = FastSlowClassifier("omniglot-5w1s-fast").partial_fit(drawings[:2, 0], ["alpha", "beta"])
        >>> learner.predict(drawings[:, 1], unknown="new").tolist()
        ['alpha', 'beta', 'new']
        >>> learner.learn_one(drawings[2, 0], "gamma").predict_one(drawings[2, 1])
        'gamma'

    Args:
        model: what makes features: the name of a shipped model, a run folder or a .safetensors file, for drawings; an
            .onnx file, a module or a function of one's own, for whatever it takes: once a module was trained further,
            `fit` has to be called again, and of a function that cannot be seen; None where examples are vectors, which
            are kept in 32 bits: what is far from 0 beside its spread, as seconds since 1970, is refused.
        max_examples: the most that are kept.
        per_class: the most that are kept of each class; None for no such limit.
        eviction: what is done where there are more: "merge" makes the two nearest of one class their mean, "oldest"
            drops the oldest of the largest classes, "refuse" refuses the new ones. No class loses its last one.
        novelty_threshold: distance from which on an example is unknown, in units of a class's spread; None for the one
            chosen on validation classes of Omniglot. Vectors, and features of a model of one's own, have a spread only
            once a class has two examples.
        slow: whether the directions in which classes differ are learned from the stream.
        doubt_labels: whether an example counts the less, the less the others agree with its label: for labels of which
            some are wrong. All examples are then looked at again after each change.
        ink, crop: of drawings, see `FewShotClassifier`.

    Attributes:
        memory_: all that has been learned, a `StreamMemory`; there from the first example on.
    """

    def __init__(
        self,
        model: Any = "omniglot-5w1s",  # noqa: ANN401 - a name, a module or a function
        *,
        max_examples: int = 10_000,
        per_class: int | None = None,
        eviction: Eviction = "merge",
        novelty_threshold: float | None = None,
        slow: bool = True,
        doubt_labels: bool = False,
        ink: Ink = "auto",
        crop: bool = False,
    ) -> None:
        # As scikit-learn has it: kept as they are, and looked at when something is learned.
        self.model, self.max_examples, self.per_class, self.eviction = model, max_examples, per_class, eviction
        self.novelty_threshold, self.slow, self.ink, self.crop = novelty_threshold, slow, ink, crop
        self.doubt_labels = doubt_labels

    @property
    @alone
    def classes_(self) -> np.ndarray:
        """The labels known, sorted where they can be."""
        labels = list(self._known().labels)
        return as_array([labels[place] for place in in_order(labels)])

    @property
    @alone
    def examples_(self) -> list[KeptExample]:
        """What is kept, in order of arrival."""
        names, kept = list(self._known().labels), self.memory_.examples
        parts = (kept.ids, kept.classes, kept.counts, self.memory_.knowledge.shares())
        rows = zip(*(part.tolist() for part in parts), strict=True)
        return [KeptExample(example, names[number], many, belief) for example, number, many, belief in rows]

    @property
    @alone
    def memory_bytes_(self) -> int:
        """Bytes that the memory takes, the encoder apart."""
        return self._known().memory_bytes

    @alone
    def fit(self, X: Any, y: Any) -> FastSlowClassifier:  # noqa: ANN401
        """Forgets everything and learns examples; `undo` does not reach behind it."""
        features = self._encoder(thoroughly=True).teach(X)
        memory = self._new_memory(features.shape[1])
        self._teach(memory, features, y, ())
        memory.restore(memory.labels, memory.examples)
        return self

    @alone
    def partial_fit(
        self,
        X: Any,  # noqa: ANN401
        y: Any,  # noqa: ANN401
        classes: Iterable[Hashable] | None = None,
    ) -> FastSlowClassifier:
        """Learns examples on top of what is known, all of them or, where something is wrong, none.

        Args:
            X: examples: drawings, vectors, or whatever the model takes.
            y: one label per example: strings, numbers, anything hashable; new ones make new classes.
            classes: labels that are to come; not needed, and no answers before they have an example.

        Raises:
            ValueError: if an example or a label cannot be used, or there is no room.
        """
        return learn_features(self, features_to_learn(self, X), y, () if classes is None else classes)

    def learn_one(self, x: Any, y: Hashable) -> FastSlowClassifier:  # noqa: ANN401
        """Learns one example, without its first axis."""
        return self.partial_fit(as_one(x), [y])

    @alone
    def save(self, path: str | Path) -> None:
        """Writes all that has been learned as one .safetensors file, atomically; the encoder is not in it."""
        save_stream(path, self)

    @classmethod
    def load(cls, path: str | Path, model: Any = None) -> FastSlowClassifier:  # noqa: ANN401
        """A learner as it was when it was saved.

        Args:
            path: of the file.
            model: that it had, where it was a module or a function of one's own, or where its file is now.

        Raises:
            ValueError: if the file is missing or damaged, or the model is another one.
        """
        return load_stream(path, cls, model)

    def _new_memory(self, num_features: int) -> StreamMemory:
        """An empty memory, as the arguments have it."""
        encoder, limits = self._encoder(), checked_limits(self.max_examples, self.per_class, self.eviction)
        return StreamMemory(
            num_features, encoder.prior, limits, slow=refuse_unless_flag("slow", self.slow),
            doubt=refuse_unless_flag("doubt_labels", self.doubt_labels), source=encoder.sha256,
        )  # fmt: skip

    def _teach(
        self,
        memory: StreamMemory,
        features: Tensor,
        y: Any,  # noqa: ANN401
        announced: Iterable[Hashable],
    ) -> FastSlowClassifier:
        """Has a memory learn, and takes it for this learner's."""
        labels, announced = checked_labels(as_list(y)), checked_labels(announced)
        refuse_continuous([*labels, *announced])
        if len(labels) != len(features):
            raise InputError(
                f"got {len(features)} examples and {len(labels)} labels, inconsistent numbers of samples: give one "
                "label per example"
            )
        refuse_mixed([*memory.labels.equal_to([*announced, *labels]), *announced, *labels])
        memory.learn(features, labels, announced)
        self.memory_ = memory
        if self.model is None:
            self.n_features_in_ = features.shape[1]
        return self


@alone
def features_to_learn(learner: FastSlowClassifier, X: Any) -> Tensor:  # noqa: ANN401 - as scikit-learn has it
    """The first half of `partial_fit`: features of examples, shape (examples, features); nothing is learned.

    Raises:
        ValueError: if an example cannot be used.
    """
    if knows_something(learner):
        return learner._made(X, teach=True)
    return learner._encoder().teach(X)


@alone
def learn_features(
    learner: FastSlowClassifier,
    features: Tensor,
    y: Any,  # noqa: ANN401
    classes: Iterable[Hashable] = (),
) -> FastSlowClassifier:
    """The second half of `partial_fit`.

    Args:
        learner: that learns.
        features: as `features_to_learn` made them of this learner, shape (examples, features).
        y: one label per example.
        classes: labels that are to come.

    Raises:
        ValueError: if a label cannot be used, or there is no room.
    """
    memory = learner.memory_ if knows_something(learner) else learner._new_memory(features.shape[1])
    return learner._teach(memory, features, y, classes)


def knows_something(learner: FastSlowClassifier) -> bool:
    """Whether a learner has any example; one that has forgotten all has none."""
    return hasattr(learner, "memory_") and len(learner.memory_.examples) > 0
