"""Ready-made learners: show examples, ask for answers. Any method will do; `fastslow` needs no autograd."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Literal, get_args, overload

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fastslow.alone import alone
from fastslow.core.encoders import images_per_pass, in_passes
from fastslow.core.packed import packed
from fastslow.data.preparation import Ink
from fastslow.errors import InputError, refuse_unknown, shown
from fastslow.estimators.devices import on_device, usable_device
from fastslow.methods.base import Method
from fastslow.methods.files import PRETRAINED_PREFIX, TrainedModel, load_model
from fastslow.methods.learner import FewShotLearner, Prepared
from fastslow.runtime import ExportedClassifier

#: What a learner may compute with, see `load_pretrained`.
Backend = Literal["torch", "onnx", "auto"]


class FewShotClassifier(FewShotLearner):
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

    def __init__(
        self, model: TrainedModel, *, device: str | torch.device = "cpu", ink: Ink = "auto", crop: bool = False
    ) -> None:
        super().__init__(ink, crop)
        if not isinstance(model, TrainedModel):
            raise InputError(
                f"got model={shown(model)}; a TrainedModel was expected, which load_model(SOURCE) gives; "
                "load_pretrained(NAME) gives a classifier at once"
            )
        # In 32 bits whatever torch's default type was when the model was built.
        self.method = copy.deepcopy(model.method).float().eval().requires_grad_(False)
        if type(self.method).embed is Method.embed:  # what embeds in its own way may need the encoder as it is
            self.method.encoder = packed(self.method.encoder.folded())
        self._image_size, self._images_per_pass = model.config.image_size, images_per_pass(self.method.encoder)
        self.reset()
        self.to(device)

    @property
    def image_size(self) -> int:
        """Height and width of the images, pixels."""
        return self._image_size

    @property
    def max_classes(self) -> int:
        """The most classes that can be told apart at a time."""
        return self.method.num_classes

    @property
    def max_examples(self) -> int | None:
        """The most examples between two resets, one per slot of the memory; None if there is no such limit."""
        return self.method.capacity

    @property
    def device(self) -> torch.device:
        """Where the model runs and `state` lies."""
        return self._device

    @alone
    def to(self, device: str | torch.device) -> FewShotClassifier:
        """Moves the model, with all that it has learned, to a device; images go there by themselves, answers come back.

        No other thread may ask it meanwhile.

        Returns:
            This classifier.

        Raises:
            ValueError: if torch cannot use the device here; nothing has been moved then.
        """
        self._device = usable_device(device)
        self.method.to(self._device)
        self._state = on_device(self._state, self._device)
        return self

    def _begin(self) -> Any:  # noqa: ANN401 - a method's state
        return self.method.initial_state(1)

    def _learned(self, drawings: Prepared, numbers: Int64[np.ndarray, "1 images"]) -> Any:  # noqa: ANN401 - as above
        labels = torch.from_numpy(numbers).to(self._device)
        with torch.inference_mode(), torch.autocast(self._device.type, enabled=False):
            return self.method.learn(self._features(self._on_device(drawings)).unsqueeze(0), labels, self._state)

    def _logits(
        self,
        drawings: Prepared,
        state: Any,  # noqa: ANN401 - as above
    ) -> Float32[np.ndarray, "images classes"]:
        with torch.inference_mode(), torch.autocast(self._device.type, enabled=False):
            features = self._features(self._on_device(drawings)).unsqueeze(0)
            logits: np.ndarray = self.method.answer(features, state)[0].cpu().numpy()
        return logits

    def _features(self, images: Tensor) -> Tensor:
        return in_passes(self.method.embed, images, self._images_per_pass)

    def _on_device(self, drawings: Prepared) -> Tensor:
        return torch.from_numpy(drawings).to(self._device)


@overload
def load_pretrained(
    name: str, *, device: str | torch.device = ..., ink: Ink = ..., crop: bool = ..., backend: Literal["torch"] = ...
) -> FewShotClassifier: ...


@overload
def load_pretrained(
    name: str, *, device: str | torch.device = ..., ink: Ink = ..., crop: bool = ..., backend: Literal["onnx"]
) -> ExportedClassifier: ...


@overload
def load_pretrained(
    name: str, *, device: str | torch.device = ..., ink: Ink = ..., crop: bool = ..., backend: Literal["auto"]
) -> FewShotClassifier | ExportedClassifier: ...


def load_pretrained(
    name: str, *, device: str | torch.device = "cpu", ink: Ink = "auto", crop: bool = False,
    backend: Any = "torch",
) -> FewShotClassifier | ExportedClassifier:  # fmt: skip
    """A learner that ships with the library, by name.

    "omniglot-5w1s", "-5w5s", "-20w1s" and "-20w5s" are one, which looks at each image in eight views.
    "omniglot-5w1s-fast" and "omniglot-20w1s-fast" are small and look once: many times quicker, and a little less right.

    Args:
        name: one of `pretrained_names`.
        device: where it runs, see `FewShotClassifier`, and so for `ink` and `crop`.
        ink: whether ink is bright or dark in the images.
        crop: cut each image to its ink.
        backend: what it computes with. "onnx" is onnxruntime, on as many threads as torch has: quicker on a processor
            by an eighth to three fifths, equal up to rounding (`docs/export.md`); the model is exported at the first
            call, which takes seconds and `pip install "fastslow[export]"`, and kept in the user's cache folder. "auto"
            is that if it was exported before and runs here, and torch else; it never waits.

    Returns:
        A `FewShotClassifier`, or an `ExportedClassifier`, which has the same interface but for `method` and `device`.

    Raises:
        ValueError: if there is no such model, and the message lists those there are; if onnxruntime is asked for and
            not installed, or for another device than the processor; or see `FewShotClassifier`.
    """
    refuse_unknown({"backend": (backend, get_args(Backend))})
    source = f"{PRETRAINED_PREFIX}{name}"
    if (graphs := _graphs(source, backend, device)) is not None:
        return ExportedClassifier(graphs, threads=torch.get_num_threads(), ink=ink, crop=crop)
    # A model is built with random weights before it gets its own: not from torch's global stream, nor on its default
    # device.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        model = load_model(source)
    return FewShotClassifier(model, device=device, ink=ink, crop=crop)


def _graphs(source: str, backend: Backend, device: str | torch.device) -> Path | None:
    """The folder of the graphs to answer by; None for torch."""
    if backend == "torch":
        return None
    from fastslow.export.kept import exported_graphs, kept_graphs, refuse_without_runtime

    try:
        refuse_without_runtime(device)
    except InputError:
        if backend == "auto":
            return None
        raise
    return exported_graphs(source) if backend == "onnx" else kept_graphs(source)
