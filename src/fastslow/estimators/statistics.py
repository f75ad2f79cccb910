"""How a model's features of classes spread, in a file beside the model: what a stream learner starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fastslow.core.encoders import ImageEncoder
from fastslow.core.gaussian import ClassStatistics, class_statistics
from fastslow.data.base import ClassImages
from fastslow.errors import InputError, shown_path
from fastslow.estimators.weights import weights_sha256
from fastslow.methods.base import Method, refuse_without_features
from fastslow.methods.files import locate_model
from fastslow.protocol.features import embed
from fastslow.tensors import load_tensors, save_tensors

#: What the file ends in.
SUFFIX = ".statistics"
_FORMAT = 1
#: Statistics of 1000 features take 8 MB.
_MAX_BYTES = 32 * 2**20


def statistics_path(model: Path) -> Path:
    """Where the statistics of a model file are: "model.statistics" beside "model.safetensors"."""
    return model.with_suffix(SUFFIX)


def measure_statistics(method: Method[Any], images: ClassImages) -> ClassStatistics:
    """Of the features of images of many classes, those that the encoder was trained on.

    Raises:
        ValueError: if the method's encoder has no features of its own, or there are too few images.
    """
    refuse_without_features(method)
    device = method.encoder.log_sharpness.device
    features = embed(method.encoder.folded(), images.images, device=device)
    return class_statistics(features.cpu(), images.labels.cpu())


def statistics_of(source: str | Path, encoder: ImageEncoder) -> ClassStatistics | None:
    """The statistics that lie beside a model, see `load_statistics`.

    Args:
        source: of the model, see `load_model`.
        encoder: the model's.
    """
    path = statistics_path(locate_model(source))
    return load_statistics(path, encoder.num_features, weights_sha256(encoder.state_dict()))


def save_statistics(path: Path, statistics: ClassStatistics, sha256: str, about: dict[str, Any]) -> None:
    """Writes statistics, in 16 bits.

    Args:
        path: of the file.
        statistics: of a model.
        sha256: of its encoder's weights, see `weights_sha256`.
        about: what they are of, plain values.
    """
    tensors = {name: part.float() for name, part in statistics._asdict().items()}
    save_tensors(path, tensors, {"format": _FORMAT, "encoder_sha256": sha256, "about": about}, half=True)


def load_statistics(path: Path, num_features: int, sha256: str) -> ClassStatistics | None:
    """Reads statistics; None where there is no such file.

    Raises:
        ValueError: if the file is damaged, or of features of another number or of other weights.
    """
    if not path.exists():
        return None
    tensors, header = load_tensors(path, _MAX_BYTES)
    shapes = {name: tuple(part.shape) for name, part in tensors.items()}
    square = (num_features, num_features)
    if header.get("format") != _FORMAT or shapes != {"centre": square[:1], "within": square, "between": square}:
        raise InputError(
            f"{shown_path(path)} holds no statistics of {num_features} features; make it again (fastslow statistics)"
        )
    if header.get("encoder_sha256") != sha256:
        raise InputError(
            f"{shown_path(path)} is of other weights than the model's; make it again (fastslow statistics)"
        )
    return ClassStatistics(**{name: part.to(torch.float64) for name, part in tensors.items()})
