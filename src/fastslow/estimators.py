"""Ready-made learners on top of the episodic regime: show examples, ask for answers; no training, no autograd."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fastslow.encoders import IMAGES_PER_PASS
from fastslow.errors import InputError
from fastslow.model_files import PRETRAINED_PREFIX, TrainedModel, folded_encoder, load_model
from fastslow.regimes.episodic import TaskState


class FewShotClassifier:
    """Learns new classes of images from one or a few examples each, at once, forward only.

    Examples:
        >>> model = load_pretrained("omniglot-5w1s")
        >>> model.learn(images, ["alpha", "beta", "gamma"])
        >>> model.predict(more_images)

    Args:
        model: a trained model, see `load_model`.
    """

    def __init__(self, model: TrainedModel) -> None:
        self.learner = model.learner.eval().requires_grad_(False)
        self.encoder = folded_encoder(model)
        self.image_size = model.config.image_size
        self.reset()

    @property
    def max_classes(self) -> int:
        """The most classes that can be told apart at a time."""
        return self.learner.num_classes

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
        self._state = self.learner.initial_state(1)

    def learn(self, images: ArrayLike | Tensor, labels: Sequence[Hashable]) -> FewShotClassifier:
        """Learns examples on top of those learned before, one after another.

        Args:
            images: shape (examples, size, size), grey, ink bright: uint8 in [0, 255] or floats in [0, 1].
            labels: one a image: strings, numbers, anything hashable; new ones make new classes.

        Returns:
            This classifier.

        Raises:
            ValueError: if shapes, ranges or numbers do not fit; nothing has been learned then.
        """
        batch = self._checked(images)
        labels = [label.item() if isinstance(label, np.generic | Tensor) else label for label in labels]
        if len(labels) != len(batch):
            raise InputError(f"{len(batch)} images came with {len(labels)} labels; give one label an image")
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
        self._classes, self._state = classes, state
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
        batch = images if isinstance(images, Tensor) else torch.from_numpy(np.ascontiguousarray(images))
        size = self.image_size
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


def load_pretrained(name: str) -> FewShotClassifier:
    """A learner that ships with the library, by name: "omniglot-5w1s" or "omniglot-20w1s".

    Raises:
        ValueError: if there is no such model; the message lists those there are.
    """
    return FewShotClassifier(load_model(PRETRAINED_PREFIX + name))
