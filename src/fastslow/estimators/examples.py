"""The examples that a stream learner keeps: rows that grow, merge when there are too many, and can be taken out.

Rows are added in place and changed in a copy: a shallow copy of `Examples` stays what it was.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from fastslow.core.drift import Drift
from fastslow.data.checks import refuse_unless_whole
from fastslow.errors import InputError

_FIRST_ROWS = 16
_ALL = slice(None)


class Examples:
    """Features of examples, each of a class: row after row, in order of arrival.

    Args:
        num_features: of each example.

    Attributes:
        features: shape (rows, num_features), float32; a merged row holds a mean.
        classes: class number of each row.
        counts: of how many examples each row is the mean.
        ids: number of each row's first example, in the order of learning; never given again.
        lost: scatter of merged examples around their means, summed, shape (num_features, num_features), float64; of
            shape (0, 0) while none has been merged.
        num_lost: how many rows have been merged into others.
    """

    def __init__(self, num_features: int) -> None:
        self.num_features, self.next_id, self.num_lost = num_features, 0, 0
        self._size = 0
        self._features, self._numbers = _room(_FIRST_ROWS, num_features)
        self.lost = torch.zeros(0, 0, dtype=torch.float64, device="cpu")

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], next_id: object, num_lost: object) -> Examples:
        """Examples from what `tensors` gave.

        Raises:
            ValueError: if a tensor is missing, or shapes, types or numbers are none that rows can have.
        """
        features, numbers, lost = (tensors.get(name, torch.empty(0)) for name in ("features", "numbers", "lost"))
        fits = (
            features.dim() == 2
            and numbers.shape == (3, len(features))
            and lost.shape in ((0, 0), (features.shape[1],) * 2)
        )
        types = (features.dtype, numbers.dtype, lost.dtype) == (torch.float32, torch.int64, torch.float64)
        if not (fits and types) or len(tensors) != 3 or bool((numbers < torch.tensor([[0], [1], [0]])).any()):
            raise InputError("got rows that no stream learner has; save it again")
        last = int(numbers[2].max()) if len(features) else -1
        for name, value, least in (("next_id", next_id, last + 1), ("num_lost", num_lost, 0)):
            refuse_unless_whole(name, value, least)
        if bool(num_lost) != bool(lost.numel()):
            raise InputError(f"got num_lost={num_lost} with scatter of shape {tuple(lost.shape)}; save it again")
        made = cls(features.shape[1])
        made._features, made._numbers, made._size, made.lost = features, numbers, len(features), lost
        made.next_id, made.num_lost = next_id, num_lost  # type: ignore[assignment]
        return made

    def tensors(self) -> dict[str, Tensor]:
        """All that rows are, by name."""
        return {"features": self.features, "numbers": self._numbers[:, : self._size], "lost": self.lost}

    def __len__(self) -> int:
        return self._size

    @property
    def features(self) -> Float[Tensor, "rows features"]:
        """See the class."""
        return self._features[: self._size]

    @property
    def classes(self) -> Int64[Tensor, " rows"]:
        """See the class."""
        return self._numbers[0, : self._size]

    @property
    def counts(self) -> Int64[Tensor, " rows"]:
        """See the class."""
        return self._numbers[1, : self._size]

    @property
    def ids(self) -> Int64[Tensor, " rows"]:
        """See the class."""
        return self._numbers[2, : self._size]

    @property
    def memory_bytes(self) -> int:
        """Bytes taken, room for rows to come included."""
        return sum(part.nbytes for part in (self._features, self._numbers, self.lost))

    def add(self, features: Float[Tensor, "new features"], classes: Int64[Tensor, " new"]) -> Int64[Tensor, " new"]:
        """Adds examples and returns their ids."""
        size = self._size + len(classes)
        if size > len(self._features):
            self._grow(max(size, 2 * len(self._features), _FIRST_ROWS))
        ids = torch.arange(self.next_id, self.next_id + len(classes))
        self._features[self._size : size] = features
        self._numbers[:, self._size : size] = torch.stack([classes, torch.ones_like(classes), ids])
        self._size, self.next_id = size, self.next_id + len(classes)
        return ids

    def take(self, other: Examples, classes: Int64[Tensor, " rows"]) -> None:
        """Adds all rows of another, under these class numbers and ids of their own."""
        size, features, counts = self._size, other.features.clone(), other.counts.clone()  # it may be this one
        self.add(features, classes)
        self._numbers[1, size : self._size] = counts
        self.lost = _sum(self.lost, other.lost)
        self.num_lost += other.num_lost

    def move(self, to: Int64[Tensor, " classes"]) -> None:
        """Gives the rows of each class c the number `to[c]`."""
        self._numbers = torch.cat([to[self.classes].unsqueeze(0), self._numbers[1:, : self._size]])
        self._features = self.features

    def keep(self, rows: Bool[Tensor, " rows"]) -> None:
        """Takes all other rows out, as if they had never come."""
        features, numbers = self.features[rows], self._numbers[:, : self._size][:, rows]
        self._features, self._numbers, self._size = features, numbers, len(features)

    def merge(self, pairs: Int64[Tensor, "pairs 2"]) -> None:
        """Makes pairs of rows of one class their mean, in the place of the first of each; no row is in two of them."""
        into, other = pairs.unbind(1)
        both = self.counts[into] + self.counts[other]
        share = (self.counts[other] / both).unsqueeze(1)
        apart = (self.features[other] - self.features[into]).double()
        kept = torch.ones(self._size, dtype=torch.bool)
        kept[other] = False
        self.lost = _sum(self.lost, (apart * share * self.counts[into].unsqueeze(1)).mT @ apart)
        self.num_lost += len(pairs)
        features, numbers = self.features.clone(), self._numbers[:, : self._size].clone()
        features[into] += (share * apart).float()
        numbers[1, into] = both
        self._features, self._numbers = features, numbers
        self.keep(kept)

    def _grow(self, rows: int) -> None:
        features, numbers = _room(rows, self.num_features)
        features[: self._size], numbers[:, : self._size] = self.features, self._numbers[:, : self._size]
        self._features, self._numbers = features, numbers


def _sum(lost: Tensor, more: Tensor) -> Tensor:
    """Of two scatters, either of which may be none."""
    return lost + more if lost.numel() and more.numel() else lost if lost.numel() else more


def _room(rows: int, num_features: int) -> tuple[Tensor, Tensor]:
    """Room for features and numbers of rows, whatever torch's default dtype and device are."""
    features = torch.empty(rows, num_features, dtype=torch.float32, device="cpu")
    return features, torch.empty(3, rows, dtype=torch.int64, device="cpu")


def carried(examples: Examples, drift: Drift) -> Examples:
    """The same rows, their features where they are after a change of the encoder."""
    moved = copy.copy(examples)
    moved._features, moved._numbers = drift.of(examples.features), examples._numbers[:, : len(examples)]
    moved.lost = drift.of_spread(examples.lost) if examples.lost.numel() else examples.lost
    return moved


def weighted_sums(
    examples: Examples, num_classes: int, rows: Tensor | slice = _ALL
) -> tuple[Float64[Tensor, "classes features"], Float64[Tensor, " classes"]]:
    """Sum and number of the examples of each class, in order of arrival.

    Args:
        examples: that are kept.
        num_classes: of them.
        rows: to count; all if not given.
    """
    counts, classes = examples.counts[rows].double(), examples.classes[rows]
    sums = torch.zeros(num_classes, examples.num_features, dtype=torch.float64)
    totals = torch.zeros(num_classes, dtype=torch.float64).index_add_(0, classes, counts)
    return sums.index_add_(0, classes, examples.features[rows].double() * counts.unsqueeze(1)), totals
