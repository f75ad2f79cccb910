"""How episodes differ from the usual: wrong labels in support sets, classes of one alphabet, turned classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fastslow.data.base import ClassImages
from fastslow.data.episodes import EpisodeBatch, EpisodeSampler
from fastslow.data.grouped_episodes import GroupedEpisodeSampler, alphabets
from fastslow.data.rotated_episodes import NUM_ROTATIONS, RotatedEpisodeSampler
from fastslow.errors import InputError, refuse_unknown, shown

#: Which way up the classes are: all as they are ("none"); each in four rotations, which are classes of their own that
#: can meet in an episode ("classes": the public code of prototypical networks); or each turned by an angle drawn anew
#: for each episode ("episode": that of MAML). Like characters are then rarely turned alike: both are easier.
ROTATIONS = ("none", "classes", "episode")
#: Tells the random numbers of wrong labels from those of the episodes, which bear the same seed.
_STREAM = 1
#: A share such as 0.3 of 25 may be a little below what it is on paper.
_ROUNDING = 1e-9


class Hardness(NamedTuple):
    """How episodes differ from the usual ones; not at all by default.

    Attributes:
        groups: the group of each class, shape (classes,): an episode's classes are all of one. None for any classes.
        wrong_labels: share of the labels of each support set that are of another class of the task, in [0, 1].
        rotations: of the classes, one of `ROTATIONS`; unless "none", the images are those of `rotated`.
    """

    groups: Tensor | None = None
    wrong_labels: float = 0.0
    rotations: str = "none"

    def sampler(self, labels: Tensor, *, n_way: int, n_shot: int, n_query: int, seed: int) -> EpisodeSampler:
        """What draws such episodes, their labels right.

        Args:
            labels: class of each image.
            n_way: classes in a task.
            n_shot: support images of each class.
            n_query: queries of each class.
            seed: of the episodes.

        Raises:
            ValueError: if the data cannot give them.
        """
        sizes = {"n_way": n_way, "n_shot": n_shot, "n_query": n_query, "seed": seed}
        if self.groups is None:
            kind = RotatedEpisodeSampler if self.rotations == "episode" else EpisodeSampler
            return kind(labels=labels, **sizes)
        return GroupedEpisodeSampler(labels=labels, groups=self.groups, **sizes)

    def facts(self, n_way: int, n_shot: int) -> dict[str, Any]:
        """What a result says of it: nothing of what is as usual.

        Returns:
            "wrong_labels", the share, and "wrong_labels_each", of how many labels in each support set;
            "same_alphabet"; "rotations".

        Raises:
            ValueError: if the share of wrong labels is none, see `num_wrong`.
        """
        facts: dict[str, Any] = {}
        if self.wrong_labels:
            number = num_wrong(self.wrong_labels, n_way * n_shot)
            facts |= {"wrong_labels": self.wrong_labels, "wrong_labels_each": number}
        facts |= {} if self.groups is None else {"same_alphabet": True}
        return facts if self.rotations == "none" else facts | {"rotations": self.rotations}


class Corruption:
    """Puts wrong labels into the support sets of one episode after another.

    Args:
        share: of the labels, in [0, 1].
        n_way: classes of a task.
        seed: of the episodes; the same one gives the same wrong labels, whatever the share the same ones first.
    """

    def __init__(self, share: float, *, n_way: int, seed: int) -> None:
        self.share, self.n_way = share, n_way
        # A seed of its own: the generator of the episodes would choose labels and classes by the same numbers.
        own = np.random.SeedSequence((seed, _STREAM)).generate_state(1, np.uint64)
        self.generator = torch.Generator(device="cpu").manual_seed(int(own[0]))

    def __call__(self, episode: EpisodeBatch) -> EpisodeBatch:
        """The episode with wrong labels in its support set; queries keep theirs, which accuracy is measured by."""
        if not self.share:
            return episode
        labels = wrong_labels(episode.support_labels, self.share, self.n_way, self.generator)
        return episode._replace(support_labels=labels)


def wrong_labels(
    labels: Int64[Tensor, "tasks support"], share: float, n_way: int, generator: torch.Generator
) -> Int64[Tensor, "tasks support"]:
    """Labels of which some are replaced by another class of the task.

    Which ones is drawn uniformly without repetition, and so is each one's new class from the `n_way - 1` others. The
    same generator at a larger share replaces the same labels by the same classes, and more of them.

    Args:
        labels: in [0, n_way), shape (tasks, support). Not modified.
        share: of each support set that is to be wrong, in [0, 1]; how many that is, see `num_wrong`.
        n_way: classes of a task, at least 2.
        generator: on the CPU.

    Returns:
        Shape (tasks, support); `num_wrong` labels of each row differ from those given.

    Raises:
        ValueError: if the share is none, or comes to not one label, or there is no other class.
    """
    number = num_wrong(share, labels.shape[1])
    if number and n_way < 2:
        raise InputError(f"got n_way={n_way} with wrong labels; a wrong label needs another class, so at least 2 ways")
    uniform = torch.rand(2, *labels.shape, generator=generator, dtype=torch.float64, device="cpu").to(labels.device)
    place = uniform[0].argsort(-1)  # a random permutation of each row
    others = (uniform[1] * (n_way - 1)).long() + 1
    return torch.where(place < number, (labels + others) % n_way, labels)


def num_wrong(share: float, size: int) -> int:
    """How many labels of a support set are wrong: the nearest whole number, halves up.

    Args:
        share: in [0, 1].
        size: examples of the support set.

    Raises:
        ValueError: if the share is out of range, or is not 0 and comes to no label at all.
    """
    if not 0 <= share <= 1:
        raise InputError(f"got wrong_labels={shown(share)}; a share from 0 to 1 was expected, such as 0.2")
    number = math.floor(share * size + 0.5 + _ROUNDING)
    if share and not number:
        raise InputError(
            f"got wrong_labels={share:g} with support sets of {size}: that is not one label; give a share of at least "
            f"{0.5 / size:g}, or more examples"
        )
    return number


def rotated(images: ClassImages, rotations: str) -> ClassImages:
    """The images that episodes are drawn from: where classes are turned, each in its four rotations."""
    return images if rotations == "none" else images.with_rotations()


def hardness_of(
    class_names: Sequence[str], *, same_alphabet: bool, wrong_labels: float, rotations: str = "none"
) -> Hardness:
    """The hardness of episodes of named classes.

    Args:
        class_names: before they are turned.
        same_alphabet: whether the classes of an episode are all of one alphabet.
        wrong_labels: see `Hardness`.
        rotations: likewise.

    Raises:
        ValueError: if there are no such rotations, or classes of one alphabet are asked for and the names tell of none,
            or each would be turned by an angle of its own.
    """
    refuse_unknown({"rotations": (rotations, ROTATIONS)})
    if not same_alphabet:
        return Hardness(None, wrong_labels, rotations)
    if rotations == "episode":
        raise InputError(
            "got rotations='episode' with same_alphabet; within one alphabet give rotations='classes' or 'none'"
        )
    groups = alphabets(class_names)
    return Hardness(groups if rotations == "none" else groups.repeat(NUM_ROTATIONS), wrong_labels, rotations)
