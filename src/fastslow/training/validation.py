"""How far a training is, on classes that it does not train on."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fastslow.data.base import ClassImages
from fastslow.data.episodes import EpisodeSampler
from fastslow.methods.base import Method, Task
from fastslow.methods.networks import MemoryMethod
from fastslow.protocol.fewshot import QUERIES_PER_CLASS, evaluate_episodes
from fastslow.protocol.gradients import gradient_quality_of
from fastslow.training.drawings import features_of
from fastslow.training.interruption import Stop

#: Seed and number of the validation episodes, and of the tasks on which gradients are compared.
VALIDATION_SEED, VALIDATION_EPISODES, GRADIENT_TASKS = 7, 200, 16


class Validation:
    """Tasks of classes held out, always the same ones.

    Args:
        images: of these classes.
        n_way: classes in a task.
        n_shot: support images of each class.
        n_query: queries of each class.
        gradient_queries: queries of each class where gradients are compared.
        episodes: how many tasks.
        stop: by which the user stops it.

    Raises:
        ValueError: if the images cannot give such tasks.
    """

    def __init__(
        self,
        images: ClassImages,
        *,
        n_way: int,
        n_shot: int,
        n_query: int = QUERIES_PER_CLASS,
        gradient_queries: int = 3,
        episodes: int = VALIDATION_EPISODES,
        stop: Stop,
    ) -> None:
        self.images, self.episodes, self.stop = images, episodes, stop
        self.n_way, self.n_shot, self.n_query, self.gradient_queries = n_way, n_shot, n_query, gradient_queries
        for queries in (n_query, gradient_queries):
            self._sampler(queries)  # refused now, not when it is needed

    def features(self, method: Method[Any]) -> Float[Tensor, "images ..."]:
        """The images as a method embeds them.

        Raises:
            Abandoned: if the user wants to stop.
        """
        return features_of(method, self.images.images, self.stop)

    def accuracy(self, method: Method[Any], features: Float[Tensor, "images ..."]) -> float:
        """Share of the queries that a method answers right, in [0, 1].

        Raises:
            Abandoned: if the user wants to stop.
        """
        method.eval()
        with torch.inference_mode():
            accuracies = evaluate_episodes(
                method, features, self.images.labels, n_way=self.n_way, n_shot=self.n_shot, queries=self.n_query,
                episodes=self.episodes, seed=VALIDATION_SEED, on_progress=lambda _: self.stop.check(),
            )  # fmt: skip
        return float(accuracies.mean())

    def gradients(
        self, method: MemoryMethod[Any], features: Float[Tensor, "images features"]
    ) -> dict[str, dict[str, float]]:
        """How near predicted gradients are to the true ones, see `gradient_quality_of`."""
        batch = self._sampler(self.gradient_queries).sample(GRADIENT_TASKS)
        labels, query_labels = (part.to(features.device) for part in (batch.support_labels, batch.query_labels))
        task = Task(features[batch.support_indices], labels, features[batch.query_indices], query_labels)
        return gradient_quality_of(method, task)

    def _sampler(self, n_query: int) -> EpisodeSampler:
        return EpisodeSampler(
            labels=self.images.labels, n_way=self.n_way, n_shot=self.n_shot, n_query=n_query, seed=VALIDATION_SEED
        )
