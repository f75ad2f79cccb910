"""Episodes in which each class is turned by an angle of its own, as in MAML's figures on Omniglot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fastslow.data.episodes import EpisodeSampler
from fastslow.errors import InputError

#: Of a class: by 0, 90, 180 and 270 degrees.
NUM_ROTATIONS = 4


class RotatedEpisodeSampler(EpisodeSampler):
    """Draws `n_way` classes, then for each, support and queries alike, one of its four rotations.

    No two classes of an episode are the same one turned, unlike those that an `EpisodeSampler` draws from rotated
    images. So does MAML's public code, in training and in test.

    Args:
        labels: see `EpisodeSampler`, as for the rest; of images as `ClassImages.with_rotations` gives them.

    Raises:
        InputError: see `EpisodeSampler`; or if the classes are not four times as many.
    """

    def __init__(
        self, *, labels: Tensor | np.ndarray | Sequence[int], n_way: int, n_shot: int, n_query: int, seed: int
    ) -> None:
        super().__init__(labels=labels, n_way=n_way, n_shot=n_shot, n_query=n_query, seed=seed)
        # Class c turned by k quarters is numbered k * classes + c.
        turned = self._classes.reshape(NUM_ROTATIONS, -1) if self.num_classes % NUM_ROTATIONS == 0 else None
        if turned is None or (turned - turned[0]).diff(2, dim=0).any() or (turned - turned[0]).diff(1, dim=1).any():
            raise InputError(
                "got classes that are not each there in four rotations: give the labels of ClassImages.with_rotations()"
            )
        self._num_upright = int(turned.shape[1])
        if self._num_upright < n_way:
            raise InputError(
                f"{n_way}-way episodes of different characters need {n_way} of them with at least {n_shot} + {n_query} "
                f"images, but {self._num_upright} have as many; take fewer classes, shots or queries, or give more data"
            )

    def _draw_classes(self, num_tasks: int) -> Int64[Tensor, "tasks ways"]:
        upright = self._distinct(torch.full((num_tasks,), self._num_upright, device="cpu"), self.n_way)
        turns = (self._uniform(upright.shape) * NUM_ROTATIONS).long()
        return upright + turns * self._num_upright
