"""Few-shot episodes: which images are support and query set, and what their classes are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.utils.data import Dataset

from fastslow.data.checks import as_labels, refuse_unless_whole
from fastslow.errors import InputError, shown, shown_reason

_CPU = torch.device("cpu")  # said everywhere: another default device must not change what is drawn


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
        labels: the class of each image of the data set, shape (images,), non-negative: a tensor, an array or a list
            of whole numbers. Not kept.
        n_way: classes in a task.
        n_shot: support images of each class.
        n_query: query images of each class.
        seed: of the sampler's own generator; the same seed gives the same episodes.

    Attributes:
        num_classes: how many classes are large enough to be drawn.
        num_images: how many images these have.
        classes_left_out: numbers of the classes that have images, but too few of them.
        num_images_left_out: how many images those have.

    Raises:
        InputError: if a number is not positive, or fewer than `n_way` classes have enough images.
    """

    def __init__(
        self, *, labels: Tensor | np.ndarray | Sequence[int], n_way: int, n_shot: int, n_query: int, seed: int
    ) -> None:
        sizes = {"n_way": n_way, "n_shot": n_shot, "n_query": n_query}
        n_way, n_shot, n_query = (refuse_unless_whole(name, value, 1) for name, value in sizes.items())
        seed = refuse_unless_whole("seed", seed, -(2**63), 2**64 - 1)
        labels = as_labels(labels)
        if len(labels) and int(labels.min()) < 0:
            raise InputError(f"the labels hold {int(labels.min())}; classes are numbered from 0")
        self.n_way, self.n_shot, self.n_query = n_way, n_shot, n_query
        classes, counts = torch.unique(labels, return_counts=True)
        starts = counts.cumsum(0) - counts
        large_enough = counts >= min(n_shot + n_query, len(labels) + 1)  # the tensor's numbers end somewhere
        self.num_classes = int(large_enough.sum())
        self.num_images = int(counts[large_enough].sum())
        self.classes_left_out: tuple[int, ...] = tuple(classes[~large_enough].tolist())
        self.num_images_left_out = len(labels) - self.num_images
        if self.num_classes < n_way:
            raise InputError(
                f"{n_way}-way episodes need {n_way} classes with at least {n_shot} + {n_query} images "
                f"(shots and queries), but of {len(classes)} classes {self.num_classes} have as "
                "many; take fewer classes, shots or queries, or give more data"
            )
        self._by_class = labels.argsort(stable=True)  # image indices, class after class
        self._classes = classes[large_enough]
        self._starts, self._counts = starts[large_enough], counts[large_enough]
        self._generator = torch.Generator(device=_CPU).manual_seed(seed)

    def sample(self, num_tasks: int = 1) -> EpisodeBatch:
        """Draws the next tasks.

        Args:
            num_tasks: how many.

        Returns:
            Their indices and labels, on the CPU.

        Raises:
            InputError: if `num_tasks` is not positive.
        """
        num_tasks = refuse_unless_whole("num_tasks", num_tasks, 1)
        classes = self._draw_classes(num_tasks)
        places = self._distinct(self._counts[classes], self.n_shot + self.n_query)
        images = self._by_class[self._starts[classes].unsqueeze(-1) + places]
        support = self._shuffled(images[..., : self.n_shot])
        query_set = self._shuffled(images[..., self.n_shot :])
        return EpisodeBatch(*support, *query_set)

    def reseed(self, seed: int) -> None:
        """Goes on as a sampler that was made with this seed: cheaper than making one."""
        self._generator.manual_seed(seed)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on with the very next episode: the generator's state."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up where `state_dict` was called; the data and the task's sizes must be the same.

        Raises:
            InputError: if `state` is not one that `state_dict` gave; nothing has changed then.
        """
        if not isinstance(state, dict) or set(state) != {"generator"}:
            names = list(state) if isinstance(state, dict) else state
            raise InputError(f"got a state with {shown(names)}; an episode sampler's holds generator alone")
        try:
            torch.Generator(device=_CPU).set_state(state["generator"])  # tried on another one first
        except (TypeError, RuntimeError) as error:
            raise InputError(
                f"an episode sampler's state is damaged ({shown_reason(error)}); start the sampler anew"
            ) from error
        self._generator.set_state(state["generator"])

    def __getstate__(self) -> dict[str, Any]:
        # As an array: torch cannot send a generator to a process started anew, like DataLoader's on Windows and macOS.
        return self.__dict__ | {"_generator": self._generator.get_state().numpy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        generator = torch.Generator(device=_CPU)
        generator.set_state(torch.from_numpy(state["_generator"].copy()))
        self.__dict__ |= state | {"_generator": generator}

    def _draw_classes(self, num_tasks: int) -> Int64[Tensor, "tasks ways"]:
        """Places of the classes of each task among those that are large enough."""
        num_classes = torch.full((num_tasks,), self.num_classes, dtype=torch.int64, device=_CPU)
        return self._distinct(num_classes, self.n_way)

    def _distinct(self, sizes: Int64[Tensor, "*batch"], count: int) -> Int64[Tensor, "*batch count"]:
        """For each entry of `sizes`, `count` distinct numbers below it, in random order.

        R. W. Floyd's sampling (Bentley and Floyd, 1987): step k draws from the first size - count + k + 1
        numbers, and takes the last of these where the drawn one is taken already. That makes all subsets,
        not all orders, equally likely; hence the shuffle.
        """
        chosen = torch.empty(*sizes.shape, count, dtype=torch.int64, device=_CPU)
        for k in range(count):
            last = sizes - count + k
            uniform = self._uniform(sizes.shape)
            drawn = (uniform * (last + 1)).long()
            taken = (chosen[..., :k] == drawn.unsqueeze(-1)).any(-1)
            chosen[..., k] = torch.where(taken, last, drawn)
        return chosen.gather(-1, self._random_order(chosen.shape))

    def _shuffled(
        self, images: Int64[Tensor, "tasks ways each"]
    ) -> tuple[Int64[Tensor, "tasks set"], Int64[Tensor, "tasks set"]]:
        """Images of all classes in one random order for each task, and their labels: the class's position."""
        labels = torch.arange(self.n_way, device=_CPU).view(1, -1, 1).expand_as(images).flatten(1)
        order = self._random_order(labels.shape)
        return images.flatten(1).gather(1, order), labels.gather(1, order)

    def _random_order(self, shape: torch.Size) -> Int64[Tensor, "*shape"]:
        """A random permutation of the last axis, another one for each row."""
        return self._uniform(shape).argsort(-1)

    def _uniform(self, shape: torch.Size) -> Float64[Tensor, "*shape"]:
        return torch.rand(shape, generator=self._generator, dtype=torch.float64, device=_CPU)


class EpisodeDataset(Dataset[EpisodeBatch]):
    """A fixed number of tasks for `torch.utils.data.DataLoader`, the same ones with any number of workers.

    An `EpisodeSampler` that is copied into worker processes draws the same tasks in each. Here task i depends on
    (seed, i) alone, so that workers, `DistributedSampler` and a resumed run share the tasks out by their numbers:
    none is drawn twice and all of them together are the same. Each item is one task, an `EpisodeBatch` without its
    first axis; `DataLoader` stacks them: `for batch in DataLoader(dataset, batch_size=16, num_workers=2)`.

    Args:
        labels: see `EpisodeSampler`, as for all but `num_tasks`.
        n_way: classes in a task.
        n_shot: support images of each class.
        n_query: query images of each class.
        seed: not negative; another seed gives other tasks. Change it from epoch to epoch, or ask for as many tasks as
            the whole training needs.
        num_tasks: how many tasks there are.

    Raises:
        InputError: see `EpisodeSampler`.
    """

    def __init__(
        self,
        *,
        labels: Tensor | np.ndarray | Sequence[int],
        n_way: int,
        n_shot: int,
        n_query: int,
        seed: int,
        num_tasks: int,
    ) -> None:
        self.num_tasks = refuse_unless_whole("num_tasks", num_tasks, 1)
        self.seed = refuse_unless_whole("seed", seed, 0)
        self._sampler = EpisodeSampler(labels=labels, n_way=n_way, n_shot=n_shot, n_query=n_query, seed=self.seed)

    def __len__(self) -> int:
        return self.num_tasks

    def __getitem__(self, index: int) -> EpisodeBatch:
        """Task number `index`, from 0 to `num_tasks - 1`; `IndexError` beyond, as of a list."""
        if not 0 <= index < self.num_tasks:
            raise IndexError(f"got task {index}; there are tasks 0 to {self.num_tasks - 1}")
        seed = np.random.SeedSequence((self.seed, index)).generate_state(1, np.uint64)
        self._sampler.reseed(int(seed[0]))
        return EpisodeBatch(*(part.squeeze(0) for part in self._sampler.sample()))
