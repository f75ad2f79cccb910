r"""Groups of examples, bounded in number: what near ones have in common, and how their values change with the key.

A slot of :math:`n` examples has the mean of their keys and of their values, and, where slopes are kept, the variance
:math:`S` of each number of the key and the covariance :math:`C` of those with some numbers :math:`y` of the value.
Two groups become one exactly as if it had been one from the start: with :math:`a = n_2 / (n_1 + n_2)` and
:math:`\Delta` their difference,

.. math:: k = k_1 + a \Delta k, \quad S = (1-a) S_1 + a S_2 + a (1-a) \Delta k^2, \quad
          C = (1-a) C_1 + a C_2 + a (1-a) \Delta k\, \Delta y^\top.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

#: Queries up to which each is measured by itself, and squares from which on a difference of two is off by 1e-7 or so.
_FEW, _FAR = 4, 1e8


class Group(NamedTuple):
    """Examples as a slot has them.

    Attributes:
        key: mean, shape (key,).
        value: mean, shape (numbers,).
        number: how many.
        spread: variance of each number of the key, shape (key,); 0 for one example.
        slope: covariance of key and y, shape (key, answers); 0 for one example.
    """

    key: Float64[np.ndarray, " key"]
    value: Float64[np.ndarray, " numbers"]
    number: float
    spread: Float64[np.ndarray, " key"] | float = 0.0
    slope: Float64[np.ndarray, "key answers"] | float = 0.0


class Slots:
    """Groups of examples; where all slots are taken and one more is needed, the two nearest become one.

    Args:
        num_slots: the most that there may be.
        key_size: numbers of a key.
        numbers: of a value.
        sloped: how many of its last numbers are y; None where no slopes are kept.

    Attributes:
        size: slots in use; of the arrays, so many rows count.
        keys: shape (num_slots, key_size).
        values: shape (num_slots, numbers).
        counts: shape (num_slots,).
        spreads: shape (num_slots, key_size); None without slopes.
        slopes: shape (num_slots, key_size, sloped); None without slopes.
        narrow: 1 / (1 + spreads), and its square root's product over each key; None without slopes.
        apart: squared distances of keys from one another, infinite where there is none, shape (num_slots, num_slots).
    """

    def __init__(self, num_slots: int, key_size: int, numbers: int, sloped: int | None = None) -> None:
        self.size, self._first = 0, numbers - (sloped or 0)
        self.keys, self.values = np.zeros((num_slots, key_size)), np.zeros((num_slots, numbers))
        self.counts = np.zeros(num_slots)
        self.spreads = self.slopes = self.narrow = None
        if sloped is not None:
            self.spreads, self.slopes = np.zeros((num_slots, key_size)), np.zeros((num_slots, key_size, sloped))
            self.narrow = np.ones((num_slots, key_size)), np.ones(num_slots)
        self.apart = np.full((num_slots, num_slots), np.inf)
        self._least = np.full(num_slots, np.inf)  # of each row of `apart`

    def group(self, slot: int) -> Group:
        """What a slot has; views, which change with it."""
        if self.spreads is None or self.slopes is None:
            return Group(self.keys[slot], self.values[slot], float(self.counts[slot]))
        return Group(
            self.keys[slot], self.values[slot], float(self.counts[slot]), self.spreads[slot], self.slopes[slot]
        )

    def add(self, one: Group, alike: float) -> None:
        """Takes an example into the nearest slot if that is within a distance, else into a new one."""
        if self.size:
            distances = squared_distances(one.key[None], self.keys[: self.size])[0]
            nearest = int(distances.argmin())
            if distances[nearest] <= alike**2:
                self._mix(nearest, one)
                return
        slot = self.size
        if slot == len(self.counts):
            slot = self._merge_nearest()
        else:
            self.size += 1
        self._put(slot, one)
        self._measure(slot)

    def restore(
        self, keys: np.ndarray, values: np.ndarray, counts: np.ndarray, spreads: np.ndarray | None,
        slopes: np.ndarray | None,
    ) -> None:  # fmt: skip
        """Takes the slots of another in the place of its own: the first rows of its arrays."""
        self.size = len(counts)
        self.keys[: self.size], self.values[: self.size], self.counts[: self.size] = keys, values, counts
        if self.spreads is not None and self.slopes is not None:
            self.spreads[: self.size], self.slopes[: self.size] = spreads, slopes
            self._narrow(slice(self.size))
        self.apart[:], self._least[:] = np.inf, np.inf
        for slot in range(self.size):
            self._measure(slot)

    def _merge_nearest(self) -> int:
        """Makes room for one; which slot that is."""
        row = int(self._least.argmin())
        first, second = sorted((row, int(self.apart[row].argmin())))
        self._mix(first, self.group(second))
        return second

    def _mix(self, slot: int, other: Group) -> None:
        """Takes a group into a slot."""
        both = self.counts[slot] + other.number
        share = other.number / both
        change, value = other.key - self.keys[slot], other.value - self.values[slot]
        if self.spreads is not None and self.slopes is not None:
            between = share * (1 - share) * change
            for held, theirs, new in (
                (self.spreads[slot], other.spread, between * change),
                (self.slopes[slot], other.slope, between[:, None] * value[self._first :]),
            ):
                held *= 1 - share
                held += new
                if other.number > 1:
                    held += share * theirs
            self._narrow(slot)
        self.keys[slot] += share * change
        self.values[slot] += share * value
        self.counts[slot] = both
        self._measure(slot)

    def _put(self, slot: int, group: Group) -> None:
        self.keys[slot], self.values[slot], self.counts[slot] = group.key, group.value, group.number
        if self.spreads is not None and self.slopes is not None:
            self.spreads[slot], self.slopes[slot] = group.spread, group.slope
            self._narrow(slot)

    def _narrow(self, slots: int | slice) -> None:
        if self.spreads is not None and self.narrow is not None:
            self.narrow[0][slots] = 1 / (1 + self.spreads[slots])
            self.narrow[1][slots] = np.sqrt(self.narrow[0][slots].prod(-1))

    def _measure(self, slot: int) -> None:
        """How far a slot is from all others."""
        size = self.size
        distances = squared_distances(self.keys[slot][None], self.keys[:size])[0]
        distances[slot] = np.inf
        before, least = self.apart[slot, :size].copy(), self._least[:size]
        self.apart[slot, :size] = self.apart[:size, slot] = distances
        gone = ((before <= least) & (distances > before)).nonzero()[0]  # whose nearest this slot was
        np.minimum(least, distances, out=least)
        if len(gone):
            least[gone] = self.apart[gone, :size].min(1)
        self._least[slot] = distances.min()


def squared_distances(
    queries: Float64[np.ndarray, "queries key"],
    keys: Float64[np.ndarray, "slots key"],
    weights: Float64[np.ndarray, "slots key"] | None = None,
) -> Float64[np.ndarray, "queries slots"]:
    """By differences of squares, which is quick, where those are small enough to tell neighbours apart.

    Squares count from the first slot, for coordinates may count from far away, as UTM's do. Where a slot or a query is
    far from that one, and where there are few queries, each is taken from each.

    Args:
        queries: whose.
        keys: from which.
        weights: of each number of each key, at most 1; None for 1.
    """
    if len(queries) > _FEW and len(keys):
        ours, theirs = queries - keys[0], keys - keys[0]
        squares = np.square(ours), np.square(theirs)
        if max(part.sum(1).max() for part in squares) < _FAR:
            if weights is None:
                apart: np.ndarray = ours @ (-2 * theirs.T)
                apart += squares[0].sum(1, keepdims=True)
                apart += squares[1].sum(1)
            else:
                apart = ours @ (-2 * (theirs * weights).T)
                apart += squares[0] @ weights.T
                apart += (squares[1] * weights).sum(1)
            np.maximum(apart, 0.0, out=apart)
            return apart
    apart = np.empty((len(queries), len(keys)))
    for row, query in enumerate(queries):
        differences = query - keys
        scaled = differences if weights is None else differences * weights
        np.einsum("sk,sk->s", differences, scaled, out=apart[row])
    return apart
