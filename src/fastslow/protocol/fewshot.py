"""The few-shot protocol (design, section 4): the one place that says what an accuracy means.

Non-transductive: normalisation statistics are frozen and every query is answered as if alone. Test episodes are fixed
by `TEST_SEED`, whatever the training seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from fastslow.core.encoders import IMAGES_PER_PASS
from fastslow.data.episodes import EpisodeSampler

#: Queries a class in evaluation.
QUERIES_PER_CLASS = 15
#: Seed of the test episodes.
TEST_SEED = 2020
#: Answers a batch of tasks: (support, support labels, query) to logits.
Classifier = Callable[[Tensor, Tensor, Tensor], Tensor]


def to_unit(images: UInt8[Tensor, "batch height width"]) -> Float[Tensor, "batch 1 height width"]:
    """Bytes to the range [0, 1], ink = 1, with a channel axis."""
    return images.unsqueeze(1).float() / 255


@torch.no_grad()
def embed(
    encoder: nn.Module, images: UInt8[Tensor, "images height width"], *, device: torch.device | None = None
) -> Float[Tensor, "images features"]:
    """Features of many images under frozen statistics, in passes of a size the machine likes.

    Args:
        encoder: its training mode is put back afterwards.
        images: shape (images, height, width), uint8.
        device: where the encoder is; the CPU if None.

    Returns:
        Shape (images, features), on the device.
    """
    were_training = [module for module in encoder.modules() if module.training]
    encoder.eval()
    size = IMAGES_PER_PASS if device is None or device.type == "cpu" else 2048
    features = [encoder(to_unit(part.to(device))) for part in torch.split(images, size)]
    for module in were_training:
        module.training = True
    return torch.cat(features)


def accuracy_with_interval(accuracies: Float[Tensor, " episodes"]) -> tuple[float, float]:
    """Mean and half width of the 95 % interval (normal, over episodes) of accuracies in [0, 1]."""
    mean = float(accuracies.double().mean())
    if len(accuracies) < 2:
        return mean, math.nan
    return mean, 1.96 * float(accuracies.double().std()) / math.sqrt(len(accuracies))


def evaluate_episodes(
    classify: Classifier,
    features: Float[Tensor, "images features"],
    labels: Int64[Tensor, " images"],
    *,
    n_way: int,
    n_shot: int,
    episodes: int,
    seed: int = TEST_SEED,
    tasks_per_batch: int = 50,
    on_progress: Callable[[int], None] | None = None,
) -> Float[Tensor, " episodes"]:
    """Accuracy of each of many episodes, on features already made.

    Args:
        classify: learns the support sets and answers the queries; see `Classifier`.
        features: shape (images, features).
        labels: class of each image.
        n_way: classes an episode.
        n_shot: support examples a class.
        episodes: how many.
        seed: which ones.
        tasks_per_batch: tasks side by side; does not change the result.
        on_progress: called with the number of episodes done so far.

    Returns:
        Share of right answers, shape (episodes,).

    Raises:
        ValueError: if the data cannot give such episodes.
    """
    sampler = EpisodeSampler(labels=labels, n_way=n_way, n_shot=n_shot, n_query=QUERIES_PER_CLASS, seed=seed)
    accuracies = []
    done = 0
    while done < episodes:
        # Drawn one at a time: the episodes are then the same whatever the batch.
        drawn = [sampler.sample() for _ in range(min(tasks_per_batch, episodes - done))]
        support, support_labels, query, query_labels = (torch.cat(part) for part in zip(*drawn, strict=True))
        logits = classify(features[support], support_labels.to(features.device), features[query])
        predicted = logits[..., :n_way].argmax(-1).cpu()
        accuracies.append((predicted == query_labels).float().mean(1))
        done += len(drawn)
        if on_progress is not None:
            on_progress(done)
    return torch.cat(accuracies)
