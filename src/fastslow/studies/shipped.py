"""What the studies of the stream learner share: one shipped model's features, and episodes of them."""

from __future__ import annotations

import functools
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.core.gaussian import ClassStatistics
from fastslow.data.registry import load_source
from fastslow.errors import InputError
from fastslow.estimators.statistics import statistics_of
from fastslow.methods.files import TrainedModel, load_model
from fastslow.protocol.classes import classes_trained_on
from fastslow.protocol.features import embed

#: What makes features: trained on characters.
MODEL = "pretrained:omniglot-5w1s-fast"


@functools.cache
def shipped_model() -> TrainedModel:
    """The model, read once in a process."""
    return load_model(MODEL)


@functools.cache
def shipped_prior() -> ClassStatistics | None:
    """How its features of classes spread."""
    return statistics_of(MODEL, shipped_model().method.encoder)


@functools.lru_cache(maxsize=1)
def test_features(name: str) -> tuple[Float[Tensor, "classes each features"], dict[str, Any]]:
    """Features of the test classes of a data set, and what numbers on them depend on."""
    images, split = load_source(name, image_size=shipped_model().config.image_size)
    images = images.select(split.part("test"))
    with torch.inference_mode():
        features = embed(shipped_model().method.encoder.folded(), images.images)
    trained = classes_trained_on(shipped_model().details, images.class_names)
    facts = {
        "part": "test", "split": split.name, "split_sha256": split.sha256, "classes": images.num_classes,
        "trained_on_classes": None if trained is None else len(trained),
    }  # fmt: skip
    each = int(images.labels.bincount().min())
    rows = torch.stack([torch.nonzero(images.labels == c).flatten()[:each] for c in range(images.num_classes)])
    return features.clone()[rows], facts


def refuse_too_few(features: Float[Tensor, "classes each features"], ways: int, shots: int, data: str) -> None:
    """Refuses data from which an episode cannot be drawn.

    Raises:
        ValueError: if there are no classes beside the known ones, or no images beside those that are taught.
    """
    if len(features) <= ways or features.shape[1] <= shots:
        raise InputError(
            f"got {data}, which has {len(features)} test classes of at least {features.shape[1]} images: too few for "
            f"{ways} known classes of {shots} and others beside them"
        )


def drawn_classes(
    features: Float[Tensor, "classes each features"], ways: int, generator: torch.Generator
) -> tuple[Float[Tensor, "ways each features"], Int64[Tensor, " others"]]:
    """Classes at random, the examples of each in random order; and the numbers of the other classes."""
    order = torch.randperm(len(features), generator=generator)
    drawings = torch.stack([torch.randperm(features.shape[1], generator=generator) for _ in range(ways)])
    return features[order[:ways].unsqueeze(1), drawings], order[ways:]
