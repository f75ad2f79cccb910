r"""A memory of errors: what a forecaster that does not change got wrong, by where and how; forward only.

Not Eq. 10 of the paper, and no gradient of anything: a key says where a road user was and how it moved, and a value
what the forecast made there got wrong, once that was known. A query is answered by Gaussian attention over the slots,
beside an empty slot that says "no error": with slots :math:`s` of :math:`n_s` errors each,

.. math:: w_s = n_s \exp(-\tfrac12 |q - k_s|^2), \qquad
          \hat e = \frac{\sum_s w_s\, e_s}{w_0 + \sum_s w_s}.

An error is written into the nearest slot if that is alike, else into a new one; where all are taken, the two nearest
slots become their mean first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fastslow.errors import InputError

_ARRAYS = ("keys", "errors", "squares", "counts", "prior")
#: Queries up to which each is measured by itself, and squares from which on a difference of two is off by 1e-7 or so.
_FEW, _FAR = 4, 1e8
#: Errors beyond which there are none, metres; numbers of a key, whose squares must be numbers; and how far means may be
#: off by rounding.
_LARGEST, _LARGEST_KEY, _ROUNDING = 1e15, 1e100, 1e-6


class ErrorRead(NamedTuple):
    """What is known of the errors of forecasts to come.

    Attributes:
        error: mean error that is expected, shape (queries, steps, 2).
        square: mean squared distance between the error and that mean, shape (queries, steps).
        weight: of all slots but the empty one, shape (queries,): about how many errors speak.
    """

    error: Float64[np.ndarray, "queries steps 2"]
    square: Float64[np.ndarray, "queries steps"]
    weight: Float64[np.ndarray, " queries"]


class ErrorMemory:
    """Slots of errors.

    Args:
        num_slots: the most that there may be, at least 2.
        key_size: numbers of a key, each in units of its own width.
        steps: of a forecast.
        empty: weight of the empty slot, in errors.
        alike: distance of keys up to which an error is written into the nearest slot.

    Attributes:
        keys: shape (slots, key_size), those in use; a slot of several errors has the mean.
        errors: mean errors, shape (slots, steps, 2).
        squares: mean squared lengths of the errors, shape (slots, steps).
        counts: errors of each slot, shape (slots,).
        prior: mean squared length of all errors so far, shape (steps,); 0 before the first.
        num_written: how many errors that is of.
    """

    def __init__(self, num_slots: int, key_size: int, steps: int, *, empty: float = 1.0, alike: float = 0.5) -> None:
        if num_slots < 2 or not empty > 0 or not alike >= 0:
            raise InputError(
                f"got num_slots={num_slots}, empty={empty}, alike={alike}; at least 2 slots, a positive weight and a "
                "distance were expected"
            )
        self.empty, self.alike, self.size, self.num_written = empty, alike, 0, 0
        self._keys, self._errors = np.zeros((num_slots, key_size)), np.zeros((num_slots, steps, 2))
        self._squares, self._counts = np.zeros((num_slots, steps)), np.zeros(num_slots)
        self._apart = np.full((num_slots, num_slots), np.inf)  # squared distances of keys
        self.prior = np.zeros(steps)

    @property
    def keys(self) -> Float64[np.ndarray, "slots key"]:
        """See the class."""
        return self._keys[: self.size]

    @property
    def errors(self) -> Float64[np.ndarray, "slots steps 2"]:
        """See the class."""
        return self._errors[: self.size]

    @property
    def squares(self) -> Float64[np.ndarray, "slots steps"]:
        """See the class."""
        return self._squares[: self.size]

    @property
    def counts(self) -> Float64[np.ndarray, " slots"]:
        """See the class."""
        return self._counts[: self.size]

    def read(self, keys: Float64[np.ndarray, "queries key"]) -> ErrorRead:
        """What errors to expect, each query as if alone; changes nothing."""
        weights = np.exp(-0.5 * _squared_distances(keys, self.keys)) * self.counts
        total = weights.sum(1)
        shares = weights / (total + self.empty)[:, None]
        steps = self.prior.shape[0]
        error = (shares @ self.errors.reshape(self.size, 2 * steps)).reshape(len(keys), steps, 2)
        square = shares @ self.squares + (1 - shares.sum(1, keepdims=True)) * self.prior
        return ErrorRead(error, np.maximum(square - (error * error).sum(2), 0.0), total)

    def write(self, keys: Float64[np.ndarray, "new key"], errors: Float64[np.ndarray, "new steps 2"]) -> None:
        """Writes errors, one after another.

        Raises:
            InputError: if a number is not finite, or beyond all measure; nothing is written then.
        """
        if not ((np.abs(keys) < _LARGEST_KEY).all() and (np.abs(errors) < _LARGEST).all()):
            raise InputError(
                "got keys or errors that are not finite, or beyond all measure; nothing was written: give positions in "
                "metres"
            )
        for key, error in zip(keys, errors, strict=True):
            self._write_one(key, error)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that the memory knows, by name: see the attributes."""
        return {name: getattr(self, name) for name in _ARRAYS}

    def restore(self, arrays: Mapping[str, np.ndarray], num_written: int) -> None:
        """Takes what `arrays` gave of another memory in the place of its own.

        Raises:
            InputError: if there are more slots than `num_slots`, or they are none that a memory can have.
        """
        if set(arrays) != {*_ARRAYS} or not all(part.dtype == np.float64 for part in arrays.values()):
            raise InputError(f"got arrays {sorted(arrays)}; {', '.join(_ARRAYS)} were expected, of 64 bits")
        keys, errors, squares, counts, prior = (arrays[name] for name in _ARRAYS)
        room = (self._keys, self._errors, self._squares, self._counts)
        held = (keys, errors, squares, counts)
        fits = all(
            new.shape[1:] == old.shape[1:] and len(new) == len(counts) for new, old in zip(held, room, strict=True)
        )
        if not fits or len(counts) > len(self._counts) or prior.shape != self.prior.shape:
            raise InputError("got slots of another size, or more of them, than this memory has room for")
        if not _can_be(arrays, num_written):
            raise InputError("got slots with numbers that no memory has; save them again")
        self.size, self.prior, self.num_written = len(counts), prior.copy(), num_written
        self._apart[:] = np.inf
        for old, new in zip(room, held, strict=True):
            old[: self.size] = new
        for slot in range(self.size):
            self._measure(slot)

    def _write_one(self, key: np.ndarray, error: np.ndarray) -> None:
        square = (error * error).sum(1)
        self.num_written += 1
        self.prior += (square - self.prior) / self.num_written
        if self.size:
            apart = _squared_distances(key[None], self.keys)[0]
            nearest = int(apart.argmin())
            if apart[nearest] <= self.alike**2:
                self._mix(nearest, key, error, square, 1.0)
                return
        if self.size == len(self._counts):
            self._merge_nearest()
        self._put(self.size, key, error, square, 1.0)
        self.size += 1
        self._measure(self.size - 1)

    def _merge_nearest(self) -> None:
        """Makes room for one."""
        first, second = sorted(divmod(int(self._apart.argmin()), len(self._counts)))
        self._mix(first, self._keys[second], self._errors[second], self._squares[second], self._counts[second])
        last = self.size - 1
        self.size = last
        if second != last:
            self._put(second, self._keys[last], self._errors[last], self._squares[last], self._counts[last])
        self._apart[last] = self._apart[:, last] = np.inf
        self._measure(second if second != last else first)

    def _mix(self, slot: int, key: np.ndarray, error: np.ndarray, square: np.ndarray, count: float) -> None:
        """Takes errors into a slot: means of all of them."""
        both = self._counts[slot] + count
        share = count / both
        for held, new in ((self._keys, key), (self._errors, error), (self._squares, square)):
            held[slot] += share * (new - held[slot])
        self._counts[slot] = both
        self._measure(slot)

    def _put(self, slot: int, key: np.ndarray, error: np.ndarray, square: np.ndarray, count: float) -> None:
        self._keys[slot], self._errors[slot], self._squares[slot], self._counts[slot] = key, error, square, count

    def _measure(self, slot: int) -> None:
        """How far a slot is from all others."""
        if slot >= self.size:
            return
        apart = _squared_distances(self._keys[slot][None], self.keys)[0]
        apart[slot] = np.inf
        self._apart[slot, : self.size] = self._apart[: self.size, slot] = apart


def _can_be(arrays: Mapping[str, np.ndarray], num_written: int) -> bool:
    """Whether numbers are those of a memory: counts whole and of all that was written, means of what they can be of."""
    _, errors, squares, counts, prior = (arrays[name] for name in _ARRAYS)
    most = {"keys": _LARGEST_KEY, "errors": _LARGEST}
    if not all((np.abs(part) < most.get(name, 2 * _LARGEST**2)).all() for name, part in arrays.items()):
        return False
    if (counts < 1).any() or (counts != np.round(counts)).any() or counts.sum() != num_written:
        return False
    least, both = np.square(errors).sum(2), counts @ squares / max(num_written, 1)  # of a mean, and of all slots
    return bool(
        (squares >= least * (1 - _ROUNDING) - _ROUNDING**2).all()
        and np.allclose(prior, both, rtol=_ROUNDING, atol=_ROUNDING**2)
    )


def _squared_distances(
    queries: Float64[np.ndarray, "queries key"], keys: Float64[np.ndarray, "slots key"]
) -> Float64[np.ndarray, "queries slots"]:
    """By differences of squares, which is quick, where those are small enough to tell neighbours apart.

    Squares count from the first slot, for coordinates may count from far away, as UTM's do. Where a slot or a query is
    far from that one, and where there are few queries, each is taken from each.
    """
    if len(queries) > _FEW and len(keys):
        ours, theirs = queries - keys[0], keys - keys[0]
        squares = np.square(ours).sum(1, keepdims=True), np.square(theirs).sum(1)
        if max(part.max() for part in squares) < _FAR:
            apart: np.ndarray = ours @ (-2 * theirs.T)
            apart += squares[0]
            apart += squares[1]
            np.maximum(apart, 0.0, out=apart)
            return apart
    apart = np.empty((len(queries), len(keys)))
    for row, query in enumerate(queries):
        differences = query - keys
        np.einsum("sk,sk->s", differences, differences, out=apart[row])
    return apart
