"""The one-pass protocol of Santoro et al. (2016): how often the first, second, ... drawing of a class is recognised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.data.episodes import EpisodeSampler
from fastslow.errors import InputError, shown
from fastslow.methods.base import Method
from fastslow.protocol.fewshot import TEST_SEED, accuracy_with_interval
from fastslow.protocol.result import Interval


@torch.no_grad()
def instance_accuracies(
    method: Method[Any],
    features: Float[Tensor, "images ..."],
    labels: Int64[Tensor, " images"],
    *,
    episodes: int,
    n_way: int = 5,
    instances: int = 10,
    seed: int = TEST_SEED,
    tasks_per_batch: int = 50,
    on_progress: Callable[[int], None] | None = None,
) -> dict[int, Interval]:
    """Accuracy by how often the class has been shown before, examples being answered first and learned then.

    An episode is a stream of `n_way * instances` images, in random order, of classes under labels drawn anew. Images
    are drawn without replacement, so that no drawing is met twice. An episode's accuracy at the i-th instance is the
    share of its classes that are answered right when their i-th drawing comes; the first is a guess (Fig. 2 of Santoro
    et al. shows 5 classes in streams of 50). Any method can be measured; one whose memory has room for fewer examples
    loses those of long ago, as it would in use.

    Args:
        method: learns and answers, in evaluation mode; not modified.
        features: as the method embeds the images, shape (images, features).
        labels: class of each image.
        episodes: how many.
        n_way: classes of an episode.
        instances: drawings of each class, at least 2.
        seed: which episodes.
        tasks_per_batch: episodes side by side; does not change the result.
        on_progress: called with the number of episodes done so far.

    Returns:
        By instance, from 1: the mean over episodes, a share in [0, 1], and its 95 % interval.

    Raises:
        ValueError: if the data cannot give such episodes, or the method tells fewer classes apart.
    """
    if not 2 <= n_way <= method.num_classes:
        raise InputError(
            f"got n_way={shown(n_way)}; this method tells {method.num_classes} classes apart: from 2 to it"
        )
    if instances < 2 or episodes < 1:
        raise InputError(f"got instances={shown(instances)}, episodes={shown(episodes)}; at least 2 and 1 are needed")
    sampler = EpisodeSampler(labels=labels, n_way=n_way, n_shot=instances - 1, n_query=1, seed=seed)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    shares = []
    for start in range(0, episodes, tasks_per_batch):
        streams = [_stream(sampler, generator) for _ in range(min(tasks_per_batch, episodes - start))]
        images, classes = (torch.cat(part) for part in zip(*streams, strict=True))
        right = _answered_right(method, features[images], classes.to(features.device), n_way).cpu()
        shares.append(_by_instance(right, classes, n_way))
        if on_progress is not None:
            on_progress(start + len(streams))
    return {i + 1: accuracy_with_interval(share) for i, share in enumerate(torch.cat(shares).unbind(1))}


def _stream(sampler: EpisodeSampler, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One episode: images in random order and their classes, shape (1, examples) each."""
    drawn = sampler.sample()
    images = torch.cat([drawn.support_indices, drawn.query_indices], 1)
    classes = torch.cat([drawn.support_labels, drawn.query_labels], 1)
    order = torch.randperm(images.shape[1], generator=generator, device=torch.device("cpu"))
    return images[:, order], classes[:, order]


def _answered_right(method: Method[Any], examples: Tensor, classes: Tensor, n_way: int) -> Tensor:
    """Whether each example of the streams is answered right before it is learned, shape (tasks, examples)."""
    state = method.initial_state(len(examples))
    right = []
    for example, label in zip(torch.split(examples, 1, 1), torch.split(classes, 1, 1), strict=True):
        logits = method.answer(example, state)[..., :n_way]
        right.append((logits.argmax(-1) == label) & ~logits.isnan().any(-1))  # argmax takes a NaN for the largest
        state = method.learn(example, label, state)
    return torch.cat(right, 1)


def _by_instance(right: Tensor, classes: Tensor, n_way: int) -> Tensor:
    """The share of classes answered right at their first, second, ... drawing, shape (tasks, instances)."""
    # A stable sort by class leaves the drawings of each class in order of arrival.
    order = torch.sort(classes, dim=1, stable=True).indices
    return right.gather(1, order).reshape(len(right), n_way, -1).to(torch.float32).mean(1)
