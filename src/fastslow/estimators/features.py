"""What a stream learner compares: features of images by a model, by a module or function of one's own, or vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.core.encoders import images_per_pass, in_passes
from fastslow.core.gaussian import ClassStatistics
from fastslow.core.packed import packed
from fastslow.data.preparation import Ink, refuse_unprepared
from fastslow.estimators.contexts import plain_torch, plainly
from fastslow.estimators.images import prepared_images
from fastslow.estimators.own_models import by_module, row_by_row
from fastslow.estimators.statistics import statistics_of
from fastslow.estimators.vectors import as_vectors, refuse_rounded
from fastslow.estimators.weights import WatchedModule, weights_sha256
from fastslow.methods.base import refuse_without_features
from fastslow.methods.files import PRETRAINED_PREFIX, TrainedModel, load_model, pretrained_names


class Features(NamedTuple):
    """A way from what users show to vectors.

    Attributes:
        make: examples to features, shape (examples, features), float32, on the CPU.
        prior: how features of classes spread, where that is known.
        sha256: of the weights and the prior; "" where there are none to look at.
        unchanged: whether `sha256` still holds, see `WatchedModule`; what was read from a file does not change.
    """

    make: Callable[[Any], Float[Tensor, "examples features"]]
    prior: ClassStatistics | None
    sha256: str
    unchanged: Callable[[bool], bool] = lambda _thoroughly: True

    def teach(self, examples: Any) -> Float[Tensor, "examples features"]:  # noqa: ANN401 - whatever users have
        """Features of examples that are to be learned: of vectors, 32 bits have to hold what tells them apart."""
        features = self.make(examples)
        if self.make is as_vectors and len(features) > 1:
            refuse_rounded(examples)
        return features


class LoadedModel(NamedTuple):
    """A model for drawings that is not, or not yet, in a file: what `SlowEncoder` gives a learner.

    Attributes:
        trained: the model.
        prior: how its features of classes spread, where that is known.
    """

    trained: TrainedModel
    prior: ClassStatistics | None


def features_of(model: object, *, ink: Ink = "auto", crop: bool = False) -> Features:
    """The way that a model stands for.

    Args:
        model: name of a shipped model, a run folder, a .safetensors file or a `LoadedModel` (drawings in); an .onnx
            file, a `torch.nn.Module` or a function (whatever it takes in); None for vectors.
        ink: of drawings, see `FewShotClassifier`.
        crop: likewise.

    Raises:
        ValueError: if there is no such model, or it has no features to compare.
    """
    refuse_unprepared(ink, crop)
    if model is None:
        return Features(as_vectors, None, "")
    if isinstance(model, nn.Module):
        watched = WatchedModule(model)
        return Features(row_by_row(by_module(model)), None, watched.sha256, watched.unchanged)
    if callable(model):
        return Features(row_by_row(model), None, "")
    if str(model).lower().endswith(".onnx"):
        from fastslow.estimators.onnx import onnx_encoder

        make, sha256 = onnx_encoder(Path(str(model)))
        return Features(row_by_row(make), None, sha256)
    return _of_drawings(model if isinstance(model, LoadedModel) else loaded_model(str(model)), ink, crop)


def loaded_model(model: str) -> LoadedModel:
    """A model for drawings, read.

    Args:
        model: name of a shipped model, a run folder or a .safetensors file.

    Raises:
        ValueError: if there is no such model, or it has no features to compare.
    """
    source = f"{PRETRAINED_PREFIX}{model}" if model in pretrained_names() else model
    with plain_torch(), torch.random.fork_rng(devices=[]):
        trained = load_model(source)
    refuse_without_features(trained.method)
    return LoadedModel(trained, statistics_of(source, trained.method.encoder))


def _of_drawings(model: LoadedModel, ink: Ink, crop: bool) -> Features:
    trained, prior = model
    weights = trained.method.encoder.state_dict()
    encoder = packed(trained.method.encoder.folded().eval().requires_grad_(False))
    sha256 = weights_sha256(weights | ({} if prior is None else {f"prior {k}": v for k, v in prior._asdict().items()}))
    size, at_once = trained.config.image_size, images_per_pass(encoder)

    @plainly
    def make(drawings: Any) -> Tensor:  # noqa: ANN401 - whatever users have
        images = prepared_images(drawings, size=size, ink=ink, crop=crop)
        with torch.inference_mode():
            features = in_passes(encoder, images, at_once)
        return features.clone()  # an ordinary tensor

    return Features(make, prior, sha256)
