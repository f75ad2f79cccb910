"""Ready-made learners: show examples, ask for answers. Any method will do; `fastslow` needs no autograd."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fastslow.core.encoders import images_per_pass, in_passes
from fastslow.core.packed import packed
from fastslow.data.labels import checked_labels, classes_after
from fastslow.data.preparation import Ink, refuse_unprepared
from fastslow.errors import InputError
from fastslow.estimators.devices import on_device, usable_device
from fastslow.estimators.images import prepared_images
from fastslow.methods.base import Method
from fastslow.methods.config import refuse_overfull
from fastslow.methods.files import PRETRAINED_PREFIX, TrainedModel, load_model


class FewShotClassifier:
    """Learns new classes of images from one or a few examples each, at once.

    Images are prepared one by one, as folders' are (`data.preparation.prepare`): they may be bright on dark or dark on
    bright, pale, of 0 to 1, 0 to 255 or 16 bits, grey, RGB or RGBA. Whatever cannot be read as a drawing is refused.

    Examples:
        >>> from fastslow import load_pretrained
        >>> from fastslow.data import make_glyphs
        >>> drawings = make_glyphs(num_classes=3, per_class=2, seed=3).images.reshape(3, 2, 28, 28)
        >>> model = load_pretrained("omniglot-5w1s-fast").learn(drawings[:, 0], ["alpha", "beta", "gamma"])
        >>> model.predict(drawings[:, 1])
        ['alpha', 'beta', 'gamma']

    Args:
        model: a trained model of any method, see `load_model`; copied.
        device: where it runs, such as "cpu", "cuda" or "mps"; see `to`.
        ink: whether ink is "bright" or "dark" in the images; "auto" decides image by image. "as_is" is for images that
            are no drawings: their values are scaled to [0, 1] and otherwise left.
        crop: cut each image, of any size, to its ink: for drawings that are small on their page.

    Raises:
        ValueError: if torch cannot use the device here, or an option does not exist.
    """

    _state: Any

    def __init__(
        self, model: TrainedModel, *, device: str | torch.device = "cpu", ink: Ink = "auto", crop: bool = False
    ) -> None:
        refuse_unprepared(ink, crop)
        self.ink, self.crop = ink, crop
        # In 32 bits whatever torch's default type was when the model was built.
        self.method = copy.deepcopy(model.method).float().eval().requires_grad_(False)
        if type(self.method).embed is Method.embed:  # what embeds in its own way may need the encoder as it is
            self.method.encoder = packed(self.method.encoder.folded())
        self.image_size, self._images_per_pass = model.config.image_size, images_per_pass(self.method.encoder)
        self.reset()
        self.to(device)

    @property
    def max_classes(self) -> int:
        """The most classes that can be told apart at a time."""
        return self.method.num_classes

    @property
    def max_examples(self) -> int | None:
        """The most examples between two resets, one per slot of the memory; None if there is no such limit."""
        return self.method.capacity

    @property
    def classes(self) -> tuple[Hashable, ...]:
        """The classes learned so far, in the order in which they were first shown."""
        return tuple(self._classes)

    @property
    def state(self) -> Any:  # noqa: ANN401 - a method's state
        """All that has been learned since `reset`: the method's state for one task."""
        return self._state

    @property
    def device(self) -> torch.device:
        """Where the model runs and `state` lies."""
        return self._device

    def to(self, device: str | torch.device) -> FewShotClassifier:
        """Moves the model, with all that it has learned, to a device; images go there by themselves, answers come back.

        Returns:
            This classifier.

        Raises:
            ValueError: if torch cannot use the device here; nothing has been moved then.
        """
        self._device = usable_device(device)
        self.method.to(self._device)
        self._state = on_device(self._state, self._device)
        return self

    def reset(self) -> None:
        """Forgets all classes learned."""
        self._classes: dict[Hashable, int] = {}
        self._num_examples = 0
        self._state = self.method.initial_state(1)

    def learn(self, images: ArrayLike | Tensor, labels: Iterable[Hashable]) -> FewShotClassifier:
        """Learns examples on top of those learned before, one after another.

        Args:
            images: shape (examples, size, size), or (examples, size, size, channels) for RGB and RGBA; see the class.
            labels: one label per image: strings, numbers, anything hashable; new ones make new classes.

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
        with torch.inference_mode():
            numbers = torch.tensor([[classes[label] for label in labels]], device=self._device)
            state = self.method.learn(self._features(batch).unsqueeze(0), numbers, self._state)
        self._classes, self._num_examples, self._state = classes, num_examples, state
        return self

    def decision_function(self, images: ArrayLike | Tensor) -> np.ndarray:
        """Logits of the classes learned so far, shape (images, classes); each image answered as if alone."""
        if not self._classes:
            raise InputError("no class has been learned yet; call learn(images, labels) first")
        with torch.inference_mode():
            logits = self.method.answer(self._features(self._checked(images)).unsqueeze(0), self._state)
        return logits[0, :, : len(self._classes)].cpu().numpy()

    def predict_proba(self, images: ArrayLike | Tensor) -> np.ndarray:
        """Probabilities of the classes, in the order of `classes`; shape (images, classes)."""
        return torch.from_numpy(self.decision_function(images)).softmax(-1).numpy()

    def predict(self, images: ArrayLike | Tensor) -> list[Hashable]:
        """The likeliest label of each image."""
        names = self.classes
        return [names[best] for best in self.decision_function(images).argmax(-1)]

    def _features(self, images: Tensor) -> Tensor:
        return in_passes(self.method.embed, images, self._images_per_pass)

    def _checked(self, images: ArrayLike | Tensor) -> Tensor:
        """Images as floats (images, 1, size, size) in [0, 1], prepared, on the device."""
        prepared = prepared_images(images, size=self.image_size, ink=self.ink, crop=self.crop)
        return prepared.to(self._device)


def load_pretrained(
    name: str, *, device: str | torch.device = "cpu", ink: Ink = "auto", crop: bool = False
) -> FewShotClassifier:
    """A learner that ships with the library, by name.

    "omniglot-5w1s", "-5w5s", "-20w1s" and "-20w5s" are one, which looks at each image in eight views.
    "omniglot-5w1s-fast" and "omniglot-20w1s-fast" are small and look once: many times quicker, and a little less right.

    Args:
        name: one of `pretrained_names`.
        device: where it runs, see `FewShotClassifier`, and so for `ink` and `crop`.
        ink: whether ink is bright or dark in the images.
        crop: cut each image to its ink.

    Raises:
        ValueError: if there is no such model, and the message lists those there are; or see `FewShotClassifier`.
    """
    # A model is built with random weights before it gets its own: not from torch's global stream, nor on its default
    # device.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        model = load_model(f"{PRETRAINED_PREFIX}{name}")
    return FewShotClassifier(model, device=device, ink=ink, crop=crop)
