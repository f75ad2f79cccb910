"""What every learner of a few examples has, whatever it computes with: labels, checks, answers. Needs no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import ArrayLike

from fastslow.alone import Shared, alone
from fastslow.data.drawings import prepared_drawings
from fastslow.data.labels import checked_labels, classes_after
from fastslow.data.preparation import Ink, refuse_unprepared
from fastslow.errors import InputError
from fastslow.methods.config import refuse_overfull

#: Drawings as encoders take them.
Prepared = Float32[np.ndarray, "images 1 height width"]

LearnerT = TypeVar("LearnerT", bound="FewShotLearner")


class FewShotLearner(Shared, ABC):
    """Learns new classes of images from one or a few examples each, at once.

    A subclass says what it computes with: sizes, `_begin`, `_learned` and `_logits`. It calls `reset` once it can.
    Several threads may use one learner: what is taught is learned one after another, and an answer is of what had been
    learned when it was asked for.

    Args:
        ink: whether ink is "bright" or "dark" in the images; "auto" decides image by image. "as_is" is for images that
            are no drawings: their values are scaled to [0, 1] and otherwise left.
        crop: cut each image, of any size, to its ink: for drawings that are small on their page.

    Raises:
        ValueError: if an option does not exist.
    """

    _state: Any

    def __init__(self, ink: Ink, crop: bool) -> None:
        refuse_unprepared(ink, crop)
        self.ink, self.crop = ink, crop

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Height and width of the images, pixels."""

    @property
    @abstractmethod
    def max_classes(self) -> int:
        """The most classes that can be told apart at a time."""

    @property
    @abstractmethod
    def max_examples(self) -> int | None:
        """The most examples between two resets, one per slot of a memory; None if there is no such limit."""

    @abstractmethod
    def _begin(self) -> Any:  # noqa: ANN401 - a state is whatever the subclass learns into
        """The state of nothing learned."""

    @abstractmethod
    def _learned(self, drawings: Prepared, numbers: Int64[np.ndarray, "1 images"]) -> Any:  # noqa: ANN401 - as above
        """The state after some examples on top of the present one, given the numbers of their classes."""

    @abstractmethod
    def _logits(
        self,
        drawings: Prepared,
        state: Any,  # noqa: ANN401 - as above
    ) -> Float32[np.ndarray, "images classes"]:
        """Logits of all classes that there can be, of those that a state knows."""

    @property
    def classes(self) -> tuple[Hashable, ...]:
        """The classes learned so far, in the order in which they were first shown."""
        return tuple(self._classes)

    @property
    def state(self) -> Any:  # noqa: ANN401 - as above
        """All that has been learned since `reset`: the method's state for one task."""
        return self._state

    @alone
    def reset(self) -> None:
        """Forgets all classes learned."""
        self._classes: dict[Hashable, int] = {}
        self._num_examples = 0
        self._state = self._begin()

    def learn(self: LearnerT, images: ArrayLike, labels: Iterable[Hashable]) -> LearnerT:
        """Learns examples on top of those learned before, one after another.

        Args:
            images: shape (examples, size, size), or (examples, size, size, channels) for RGB and RGBA; arrays, lists or
                tensors, see the class.
            labels: one label per image: strings, numbers, anything hashable; new ones make new classes.

        Returns:
            This classifier.

        Raises:
            ValueError: if shapes, ranges or numbers do not fit, or the memory cannot hold as many examples without
                forgetting some; nothing has been learned then.
        """
        labels = checked_labels(labels)
        drawings = _prepared(self, images)
        with self._lock:
            num_examples = self._num_examples + len(drawings)
            refuse_overfull(num_examples, self.max_examples)
            classes = classes_after(self._classes, labels, num_images=len(drawings), max_classes=self.max_classes)
            state = self._learned(drawings, np.array([[classes[label] for label in labels]], np.int64))
            self._classes, self._num_examples, self._state = classes, num_examples, state
        return self

    def decision_function(self, images: ArrayLike) -> np.ndarray:
        """Logits of the classes learned so far, shape (images, classes); each image answered as if alone."""
        return self._asked(images)[1]

    def predict_proba(self, images: ArrayLike) -> np.ndarray:
        """Probabilities of the classes, in the order of `classes`; shape (images, classes)."""
        logits = self.decision_function(images)
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        probabilities: np.ndarray = shares / shares.sum(-1, keepdims=True)
        return probabilities

    def predict(self, images: ArrayLike) -> list[Hashable]:
        """The likeliest label of each image."""
        names, logits = self._asked(images)
        return [names[best] for best in logits.argmax(-1)]

    def _asked(self, images: ArrayLike) -> tuple[tuple[Hashable, ...], np.ndarray]:
        """The classes learned when this is called, and logits of them."""
        with self._lock:
            names, state = self.classes, self._state
        if not names:
            raise InputError("no class has been learned yet; call learn(images, labels) first")
        return names, self._logits(_prepared(self, images), state)[:, : len(names)]


def _prepared(learner: FewShotLearner, images: ArrayLike) -> Prepared:
    """Images in [0, 1] as a learner looks at them."""
    return prepared_drawings(images, size=learner.image_size, ink=learner.ink, crop=learner.crop)[:, None]
