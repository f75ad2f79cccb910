"""Episodes whose classes are all of one group, as characters of one alphabet: harder to tell apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fastslow.data.checks import as_labels
from fastslow.data.episodes import EpisodeSampler
from fastslow.errors import InputError, shown

_CPU = torch.device("cpu")


class GroupedEpisodeSampler(EpisodeSampler):
    """Draws the group of each task first, then `n_way` classes in it; in all else an `EpisodeSampler`.

    Groups are drawn uniformly from those with at least `n_way` classes that have enough images, however many more they
    have. All other classes are left out.

    Args:
        labels: see `EpisodeSampler`, as for all but `groups`.
        groups: the group of each class, by the class's number: whole numbers.
        n_way: classes in a task.
        n_shot: support images of each class.
        n_query: query images of each class.
        seed: of the sampler's own generator.

    Attributes:
        num_groups: how many groups are large enough to be drawn.

    Raises:
        InputError: see `EpisodeSampler`; or if a class has no group, or no group has `n_way` classes.
    """

    def __init__(
        self,
        *,
        labels: Tensor | np.ndarray | Sequence[int],
        groups: Tensor | np.ndarray | Sequence[int],
        n_way: int,
        n_shot: int,
        n_query: int,
        seed: int,
    ) -> None:
        super().__init__(labels=labels, n_way=n_way, n_shot=n_shot, n_query=n_query, seed=seed)
        labels, groups = as_labels(labels), as_labels(groups)
        if int(labels.max()) >= len(groups):
            raise InputError(
                f"got {len(groups)} groups and a class {int(labels.max())}; give one group per class, from class 0 on"
            )
        found, group_of = torch.unique(groups[self._classes], return_inverse=True)
        sizes = group_of.bincount()
        self.num_groups = int((sizes >= n_way).sum())
        if not self.num_groups:
            raise InputError(
                f"{n_way}-way episodes within one group need {n_way} of its classes with at least {n_shot} + {n_query} "
                f"images, but the largest of {len(found)} groups has {int(sizes.max())}; take fewer "
                "classes, shots or queries, or draw from all groups"
            )
        self._keep_groups(labels, group_of, sizes >= n_way)

    def _keep_groups(self, labels: Tensor, group_of: Tensor, large_enough: Tensor) -> None:
        """Leaves out the classes of all other groups, and brings those of one group together."""
        order = group_of.argsort(stable=True)
        order = order[large_enough[group_of[order]]]
        self._classes, self._starts, self._counts = self._classes[order], self._starts[order], self._counts[order]
        self._sizes = group_of.bincount()[large_enough]
        self._firsts = self._sizes.cumsum(0) - self._sizes
        self.num_classes, self.num_images = len(order), int(self._counts.sum())
        left_out = set(labels.tolist()) - set(self._classes.tolist())
        self.classes_left_out = tuple(sorted(left_out))
        self.num_images_left_out = len(labels) - self.num_images

    def _draw_classes(self, num_tasks: int) -> Int64[Tensor, "tasks ways"]:
        group = (self._uniform(torch.Size([num_tasks])) * self.num_groups).long()
        return self._firsts[group].unsqueeze(-1) + self._distinct(self._sizes[group], self.n_way)


def alphabets(class_names: Sequence[str]) -> Int64[Tensor, " classes"]:
    """The alphabet of each class, numbered from 0, by the folder that the class's name is in.

    Args:
        class_names: such as "images_background/Greek/character01", as `load_omniglot` gives them.

    Raises:
        InputError: if a name is not of that form.
    """
    paths = [name.rsplit("/", 2) for name in class_names]
    if strange := [name for name, path in zip(class_names, paths, strict=True) if len(path) < 3]:
        raise InputError(
            f"class {shown(strange[0])} is of no alphabet; only classes named PART/ALPHABET/CHARACTER, as Omniglot's, "
            "can be drawn within one alphabet: leave --same-alphabet out"
        )
    folders = ["/".join(path[:-1]) for path in paths]
    numbers = {folder: number for number, folder in enumerate(dict.fromkeys(folders))}
    return torch.tensor([numbers[folder] for folder in folders], dtype=torch.int64, device=_CPU)
