"""`FewShotClassifier` for programs without torch."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fastslow.data.drawings import prepared_drawings
from fastslow.data.labels import checked_labels, classes_after
from fastslow.data.preparation import Ink, refuse_unprepared
from fastslow.errors import InputError, shown, shown_path
from fastslow.methods.config import refuse_overfull
from fastslow.runtime.drawings import trial_drawings
from fastslow.runtime.graphs import Graphs, State
from fastslow.runtime.manifest import read_manifest

#: How far the logits of the self-test may be from those expected: other processors add in another order.
_TOLERANCE = 1e-3


class ExportedClassifier:
    """Learns new classes of images from one or a few examples each, from a folder that `fastslow export` wrote.

    Images, labels, answers and refusals are those of `FewShotClassifier`; answers are equal up to rounding.

    Args:
        folder: the exported model. Every file is checked by its SHA-256 before it is used.
        int8: embed by the quantised encoder: quicker, and a little less right.
        threads: how many onnxruntime computes on; as many as it thinks best if None.
        ink: see `FewShotClassifier`.
        crop: likewise.

    Raises:
        ValueError: if onnxruntime is not installed, the folder is no exported model or damaged, or an option does not
            exist.
    """

    def __init__(
        self, folder: str | Path, *, int8: bool = False, threads: int | None = None, ink: Ink = "auto",
        crop: bool = False,
    ) -> None:  # fmt: skip
        refuse_unprepared(ink, crop)
        if threads is not None and threads < 1:
            raise InputError(f"got threads={shown(threads)}; give at least 1, or None for as many as there should be")
        self.ink, self.crop, self.int8, self.folder = ink, crop, int8, Path(folder)
        self._manifest = read_manifest(self.folder)
        self._graphs = Graphs(self.folder, self._manifest, int8=int8, threads=threads)
        self.reset()

    @property
    def image_size(self) -> int:
        """Height and width of the images, pixels."""
        return self._manifest.image_size

    @property
    def max_classes(self) -> int:
        """The most classes that can be told apart at a time."""
        return self._manifest.num_classes

    @property
    def max_examples(self) -> int | None:
        """The most examples between two resets; None if there is no such limit."""
        return self._manifest.max_examples

    @property
    def classes(self) -> tuple[Hashable, ...]:
        """The classes learned so far, in the order in which they were first shown."""
        return tuple(self._classes)

    @property
    def state(self) -> State:
        """All that has been learned since `reset`: arrays by name, as `learn.onnx` gives them."""
        return self._state

    def reset(self) -> None:
        """Forgets all classes learned."""
        self._classes: dict[Hashable, int] = {}
        self._num_examples = 0
        self._state = self._graphs.initial_state()

    def learn(self, images: ArrayLike, labels: Iterable[Hashable]) -> ExportedClassifier:
        """Learns examples on top of those learned before, see `FewShotClassifier.learn`.

        Args:
            images: shape (examples, size, size), or (examples, size, size, channels) for RGB and RGBA.
            labels: one label per image; new ones make new classes.

        Returns:
            This classifier.

        Raises:
            ValueError: if shapes, ranges or numbers do not fit, or the memory cannot hold as many examples without
                forgetting some; nothing has been learned then.
        """
        labels, batch = checked_labels(labels), self._checked(images)
        num_examples = self._num_examples + len(batch)
        refuse_overfull(num_examples, self.max_examples)
        classes = classes_after(self._classes, labels, num_images=len(batch), max_classes=self.max_classes)
        numbers = np.array([[classes[label] for label in labels]], np.int64)
        state = self._graphs.learn(self._graphs.embed(batch), numbers, self._state)
        self._classes, self._num_examples, self._state = classes, num_examples, state
        return self

    def decision_function(self, images: ArrayLike) -> np.ndarray:
        """Logits of the classes learned so far, shape (images, classes); each image answered as if alone."""
        if not self._classes:
            raise InputError("no class has been learned yet; call learn(images, labels) first")
        logits = self._graphs.answer(self._graphs.embed(self._checked(images)), self._state)
        return logits[0, :, : len(self._classes)]

    def predict_proba(self, images: ArrayLike) -> np.ndarray:
        """Probabilities of the classes, in the order of `classes`; shape (images, classes)."""
        logits = self.decision_function(images)
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        probabilities: np.ndarray = shares / shares.sum(-1, keepdims=True)
        return probabilities

    def predict(self, images: ArrayLike) -> list[Hashable]:
        """The likeliest label of each image."""
        names = self.classes
        return [names[best] for best in self.decision_function(images).argmax(-1)]

    def self_test(self) -> None:
        """Learns three built-in drawings and compares the answers with those at export; what was learned stays.

        Raises:
            ValueError: if logits differ by more than 0.001, or the likeliest classes do where the encoder is quantised.
        """
        drawings = trial_drawings(self.image_size)
        images = prepared_drawings(drawings, size=self.image_size, ink="bright", crop=False)[:, None]
        features, last = self._graphs.embed(images), self.max_classes - 1
        labels = np.array([[min(k, last) for k in range(len(images))]], np.int64)
        logits = self._graphs.answer(features, self._graphs.learn(features, labels, self._graphs.initial_state()))[0]
        expected = np.array(self._manifest.expected, float)  # None, for minus infinity, becomes NaN
        known = np.isfinite(expected)
        if expected.shape != logits.shape:
            raise InputError(f"{shown_path(self.folder)} expects answers of another shape: export the model again")
        far = float(np.abs(logits[known] - expected[known]).max())
        right = (logits.argmax(-1) == np.where(known, expected, -np.inf).argmax(-1)).all()
        if not right or (far > _TOLERANCE and not self.int8):
            raise InputError(
                f"{shown_path(self.folder)} answers otherwise here than where it was exported: logits differ by up to "
                f"{far:.3g}, at most {_TOLERANCE} was expected; use another version of onnxruntime"
            )

    def _checked(self, images: ArrayLike) -> np.ndarray:
        """Images as floats (images, 1, size, size) in [0, 1], prepared."""
        return prepared_drawings(images, size=self.image_size, ink=self.ink, crop=self.crop)[:, None]
