"""Ready-made learners on top of the episodic regime: show examples, ask for answers; no training, no autograd."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fastslow.core.encoders import IMAGES_PER_PASS
from fastslow.errors import InputError
from fastslow.methods.episodic import TaskState
from fastslow.methods.files import PRETRAINED_PREFIX, TrainedModel, folded_encoder, load_model


class FewShotClassifier:
    """Learns new classes of images from one or a few examples each, at once, forward only.

    Examples:
        >>> model = load_pretrained("omniglot-5w1s")
        >>> model.learn(images, ["alpha", "beta", "gamma"])
        >>> model.predict(more_images)

    Args:
        model: a trained model, see `load_model`; copied.

    Raises:
        ValueError: if the model was trained for another method: its memory has not learned to learn then.
    """

    def __init__(self, model: TrainedModel) -> None:
        if model.method != "fastslow":
            raise InputError(
                f"a model of method {model.method!r} came; only one trained as fastslow learns from examples at once"
            )
        self.learner = copy.deepcopy(model.learner).eval().requires_grad_(False)
        self.encoder = folded_encoder(model)
        self.image_size = model.config.image_size
        self.reset()

    @property
    def max_classes(self) -> int:
        """The most classes that can be told apart at a time."""
        return self.learner.num_classes

    @property
    def max_examples(self) -> int | None:
        """The most examples between two resets, one a slot of the memory; None if there is no such limit."""
        return self.learner.capacity

    @property
    def classes(self) -> tuple[Hashable, ...]:
        """The classes learned so far, in the order in which they were first shown."""
        return tuple(self._classes)

    @property
    def state(self) -> TaskState:
        """All that has been learned since `reset`: memory and fast weights of one task."""
        return self._state

    def reset(self) -> None:
        """Forgets all classes learned."""
        self._classes: dict[Hashable, int] = {}
        self._num_examples = 0
        self._state = self.learner.initial_state(1)

    def learn(self, images: ArrayLike | Tensor, labels: Iterable[Hashable]) -> FewShotClassifier:
        """Learns examples on top of those learned before, one after another.

        Args:
            images: shape (examples, size, size), grey, ink bright: uint8 in [0, 255] or floats in [0, 1].
            labels: one a image: strings, numbers, anything hashable; new ones make new classes.

        Returns:
            This classifier.

        Raises:
            ValueError: if shapes, ranges or numbers do not fit, or the memory cannot hold as many examples without
                forgetting some; nothing has been learned then.
        """
        batch = self._checked(images)
        labels = _checked_labels(labels)
        if len(labels) != len(batch):
            raise InputError(f"{len(batch)} images came with {len(labels)} labels; give one label an image")
        num_examples = self._num_examples + len(labels)
        if self.max_examples is not None and num_examples > self.max_examples:
            raise InputError(
                f"{num_examples} examples would have been learned; this model's memory holds {self.max_examples}, and "
                "one more would take the place of another: reset() it, or show fewer of each class"
            )
        classes = dict(self._classes)
        for label in labels:
            classes.setdefault(label, len(classes))
        if len(classes) > self.max_classes:
            raise InputError(
                f"that would make {len(classes)} classes; this model tells {self.max_classes} apart: "
                "reset() it, or load a model of more ways"
            )
        with torch.inference_mode():
            numbers = torch.tensor([[classes[label] for label in labels]])
            _, state = self.learner.learn(self._features(batch).unsqueeze(0), numbers, self._state)
        self._classes, self._num_examples, self._state = classes, num_examples, state
        return self

    def decision_function(self, images: ArrayLike | Tensor) -> np.ndarray:
        """Logits of the classes learned so far, shape (images, classes); each image answered as if alone."""
        if not self._classes:
            raise InputError("no class has been learned yet; call learn(images, labels) first")
        with torch.inference_mode():
            logits = self.learner.answer(self._features(self._checked(images)).unsqueeze(0), self._state)
        return logits[0, :, : len(self._classes)].numpy()

    def predict_proba(self, images: ArrayLike | Tensor) -> np.ndarray:
        """Probabilities of the classes, in the order of `classes`; shape (images, classes)."""
        return torch.from_numpy(self.decision_function(images)).softmax(-1).numpy()

    def predict(self, images: ArrayLike | Tensor) -> list[Hashable]:
        """The likeliest label of each image."""
        names = self.classes
        return [names[best] for best in self.decision_function(images).argmax(-1)]

    def _features(self, images: Tensor) -> Tensor:
        return torch.cat(
            [self.encoder(images[i : i + IMAGES_PER_PASS]) for i in range(0, len(images), IMAGES_PER_PASS)]
        )

    def _checked(self, images: ArrayLike | Tensor) -> Tensor:
        """Images as floats (images, 1, size, size) in [0, 1]."""
        batch, size = _as_tensor(images), self.image_size
        if batch.ndim != 3 or batch.shape[1:] != (size, size) or len(batch) == 0:
            raise InputError(
                f"images of shape {tuple(batch.shape)} came; (examples, {size}, {size}) was expected: "
                "grey images, resized, at least one"
            )
        if batch.dtype == torch.uint8:
            return batch.unsqueeze(1).float() / 255
        batch = batch.float()
        if not torch.isfinite(batch).all():
            raise InputError("the images hold NaN or infinity; clean them first")
        if batch.min() < 0 or batch.max() > 1:
            raise InputError(
                f"the images run from {float(batch.min()):.3g} to {float(batch.max()):.3g}; floats in [0, 1] "
                "with bright ink, or uint8, were expected"
            )
        return batch.unsqueeze(1)


def _as_tensor(images: ArrayLike | Tensor) -> Tensor:
    """Images as a tensor of numbers."""
    if not isinstance(images, Tensor):
        array = np.asarray(images)
        if array.dtype.kind not in "uifb":
            raise InputError(f"images of type {array.dtype} came; an array of numbers was expected")
        images = torch.from_numpy(np.array(array, order="C"))
    if images.is_complex():
        raise InputError(f"images of type {images.dtype} came; an array of real numbers was expected")
    return images


def _checked_labels(labels: Iterable[Hashable]) -> list[Hashable]:
    """Labels as plain Python values."""
    try:
        plain = [label.item() if isinstance(label, np.generic | Tensor) else label for label in labels]
        set(plain)
    except (TypeError, RuntimeError, ValueError) as error:
        raise InputError(f"the labels cannot be used ({error}); give a list of strings or numbers") from error
    return plain


def load_pretrained(name: str) -> FewShotClassifier:
    """A learner that ships with the library, by name: "omniglot-5w1s" or "omniglot-20w1s".

    Raises:
        ValueError: if there is no such model; the message lists those there are.
    """
    return FewShotClassifier(load_model(PRETRAINED_PREFIX + name))
