"""Few-shot episodes: which images are support and query set, and what their classes are called."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from fastslow.errors import InputError


class EpisodeBatch(NamedTuple):
    """Independent few-shot tasks, as indices into a data set.

    Attributes:
        support_indices: images of the support set, in the order they are presented; int64,
            shape (tasks, n_way * n_shot).
        support_labels: their classes within the task, int64 in [0, n_way); same shape.
        query_indices: images of the query set, none of them in the task's support set; int64,
            shape (tasks, n_way * n_query).
        query_labels: their classes within the task, int64 in [0, n_way); same shape.
    """

    support_indices: Int64[Tensor, "tasks support"]
    support_labels: Int64[Tensor, "tasks support"]
    query_indices: Int64[Tensor, "tasks queries"]
    query_labels: Int64[Tensor, "tasks queries"]


class EpisodeSampler:
    """Draws episodes: `n_way` classes, and for each `n_shot` support and `n_query` query images.

    Classes are drawn uniformly from those with at least `n_shot + n_query` images, images uniformly from
    their class, both without repetition within a task. Which class gets which label is random for each task,
    and so is the order of support and query set. The cost does not depend on the sizes of the classes.

    Args:
        labels: the class of each image of the data set, shape (images,), non-negative. Not kept.
        n_way: classes in a task.
        n_shot: support images a class.
        n_query: query images a class.
        seed: of the sampler's own generator; the same seed gives the same episodes.

    Raises:
        InputError: if a number is not positive, or fewer than `n_way` classes have enough images.
    """

    def __init__(self, *, labels: Int64[Tensor, " images"], n_way: int, n_shot: int, n_query: int, seed: int) -> None:
        for name, value in (("n_way", n_way), ("n_shot", n_shot), ("n_query", n_query)):
            _refuse_non_positive(name, value)
        if len(labels) and int(labels.min()) < 0:
            raise InputError(f"the labels hold {int(labels.min())}; classes are numbered from 0")
        self.n_way, self.n_shot, self.n_query = n_way, n_shot, n_query
        labels = labels.cpu()
        counts = torch.bincount(labels)
        starts = counts.cumsum(0) - counts
        large_enough = (counts >= n_shot + n_query).nonzero().squeeze(1)
        if len(large_enough) < n_way:
            raise InputError(
                f"{n_way}-way episodes need {n_way} classes with at least {n_shot} + {n_query} images "
                f"(n_shot + n_query), but of {int((counts > 0).sum())} classes {len(large_enough)} have as "
                "many; lower n_way, n_shot or n_query, or give more data"
            )
        self._by_class = labels.argsort(stable=True)  # image indices, class after class
        self._starts, self._counts = starts[large_enough], counts[large_enough]
        self._generator = torch.Generator().manual_seed(seed)

    def sample(self, num_tasks: int = 1) -> EpisodeBatch:
        """Draws the next tasks.

        Args:
            num_tasks: how many.

        Returns:
            Their indices and labels, on the CPU.

        Raises:
            InputError: if `num_tasks` is not positive.
        """
        _refuse_non_positive("num_tasks", num_tasks)
        num_classes = torch.full((num_tasks,), len(self._counts))
        classes = self._distinct(num_classes, self.n_way)
        places = self._distinct(self._counts[classes], self.n_shot + self.n_query)
        images = self._by_class[self._starts[classes].unsqueeze(-1) + places]
        support = self._shuffled(images[..., : self.n_shot])
        query_set = self._shuffled(images[..., self.n_shot :])
        return EpisodeBatch(*support, *query_set)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on with the very next episode: the generator's state."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up where `state_dict` was called; the data and the task's sizes must be the same.

        Raises:
            InputError: if `state` did not come from `state_dict`.
        """
        if set(state) != {"generator"}:
            raise InputError(f"an episode sampler's state holds generator, but {sorted(state)} came")
        self._generator.set_state(state["generator"])

    def _distinct(self, sizes: Int64[Tensor, "*batch"], count: int) -> Int64[Tensor, "*batch count"]:
        """For each entry of `sizes`, `count` distinct numbers below it, in random order.

        R. W. Floyd's sampling (Bentley and Floyd, 1987): step k draws from the first size - count + k + 1
        numbers, and takes the last of these where the drawn one is taken already. That makes all subsets,
        not all orders, equally likely; hence the shuffle.
        """
        chosen = torch.empty(*sizes.shape, count, dtype=torch.int64)
        for k in range(count):
            last = sizes - count + k
            uniform = torch.rand(sizes.shape, generator=self._generator, dtype=torch.float64)
            drawn = (uniform * (last + 1)).long()
            taken = (chosen[..., :k] == drawn.unsqueeze(-1)).any(-1)
            chosen[..., k] = torch.where(taken, last, drawn)
        return chosen.gather(-1, self._random_order(chosen.shape))

    def _shuffled(
        self, images: Int64[Tensor, "tasks ways each"]
    ) -> tuple[Int64[Tensor, "tasks set"], Int64[Tensor, "tasks set"]]:
        """Images of all classes in one random order for each task, and their labels: the class's position."""
        labels = torch.arange(self.n_way).view(1, -1, 1).expand_as(images).flatten(1)
        order = self._random_order(labels.shape)
        return images.flatten(1).gather(1, order), labels.gather(1, order)

    def _random_order(self, shape: torch.Size) -> Int64[Tensor, "*shape"]:
        """A random permutation of the last axis, another one for each row."""
        return torch.rand(shape, generator=self._generator, dtype=torch.float64).argsort(-1)


def _refuse_non_positive(name: str, value: int) -> None:
    if value < 1:
        raise InputError(f"{name} is {value}; it must be at least 1")
