r"""A memory of errors: what a forecaster that does not change got wrong, by where and how; forward only.

Not Eq. 10 of the paper, and no gradient of anything: a key says where a road user was and how it moved, and a value
what the forecast made there got wrong, once that was known. A query is answered by Gaussian attention over the slots,
beside an empty slot that says "no error": with slots :math:`s` of :math:`n_s` errors each,

.. math:: w_s = n_s \exp(-\tfrac12 |q - k_s|^2), \qquad
          \hat e = \frac{\sum_s w_s\, e_s}{w_0 + \sum_s w_s}.

An error is written into the nearest slot if that is alike, else into a new one; where all are taken, the two nearest
slots become their mean first.

A mean of many errors is at the mean of their keys, where perhaps none of them was. With slopes, a slot is a Gaussian
of keys and errors :math:`y` (see `core.error_slots` for :math:`S_s` and :math:`C_s`), attention is to all of it, and
what it says changes with the key:

.. math:: w_s = n_s \prod_j (1 + S_{sj})^{-1/2} \exp\Big(-\tfrac12 \sum_j \frac{(q - k_s)_j^2}{1 + S_{sj}}\Big),
          \qquad \hat y_s(q) = y_s + C_s^\top \frac{q - k_s}{1 + S_s},

with :math:`a_s = w_s / (w_0 + \sum_s w_s)` and :math:`\hat e = \sum_s a_s \hat y_s(q)`. Where the numbers :math:`x`
that forecasts were made from are shown, slots are of those, too, and errors depend on them beside (:math:`W` of
`core.error_line`):

.. math:: \hat e = \sum_s a_s \hat y_s(q) + \Big(x - \sum_s a_s \hat x_s(q)\Big) W.

Slopes and :math:`W` are of errors as `NUM_CURVES` smooth curves of time along each axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fastslow.core.error_checks import LARGEST, LARGEST_KEY, can_be
from fastslow.core.error_line import ErrorLine
from fastslow.core.error_slots import Group, Slots, squared_distances
from fastslow.errors import InputError

_ARRAYS = ("keys", "errors", "squares", "counts", "prior")
#: Curves that slopes of an error are made of, along each axis: powers of time from 1 on.
NUM_CURVES = 5


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
        slopes: whether what a slot says changes with the key.
        shown: how many numbers that a forecast was made from are told beside each key, for a line beside slopes; None
            for no line.

    Attributes:
        prior: mean squared length of all errors so far, shape (steps,); 0 before the first.
        num_written: how many errors that is of.
        line: what errors depend on linearly; None without.
        drawn: the curves of x and y by turns that slopes and the line are of, shape (curves, 2 steps).
    """

    def __init__(
        self, num_slots: int, key_size: int, steps: int, *, empty: float = 1.0, alike: float = 0.5,
        slopes: bool = False, shown: int | None = None,
    ) -> None:  # fmt: skip
        if num_slots < 2 or not empty > 0 or not alike >= 0:
            raise InputError(
                f"got num_slots={num_slots}, empty={empty}, alike={alike}; at least 2 slots, a positive weight and a "
                "distance were expected"
            )
        self.empty, self.alike, self.num_written, self.prior = empty, alike, 0, np.zeros(steps)
        self.drawn = np.kron(smooth_curves(steps), np.eye(2)).T
        self._table: np.ndarray | None = None  # what slots say beside the means of errors, once asked
        self.line = None if shown is None else ErrorLine(shown, len(self.drawn))
        sloped = (shown or 0) + len(self.drawn) if slopes or shown is not None else None
        self._slots = Slots(num_slots, key_size, 3 * steps + (sloped or 0), sloped)

    @property
    def size(self) -> int:
        """Slots in use."""
        return self._slots.size

    @property
    def keys(self) -> Float64[np.ndarray, "slots key"]:
        """Those in use; a slot of several errors has the mean."""
        return self._slots.keys[: self.size]

    @property
    def errors(self) -> Float64[np.ndarray, "slots steps 2"]:
        """Mean errors."""
        steps = len(self.prior)
        return self._slots.values[: self.size, : 2 * steps].reshape(self.size, steps, 2)

    @property
    def squares(self) -> Float64[np.ndarray, "slots steps"]:
        """Mean squared lengths of the errors."""
        steps = len(self.prior)
        return self._slots.values[: self.size, 2 * steps : 3 * steps]

    @property
    def counts(self) -> Float64[np.ndarray, " slots"]:
        """Errors of each slot."""
        return self._slots.counts[: self.size]

    def read(
        self, keys: Float64[np.ndarray, "queries key"], shown: Float64[np.ndarray, "queries shown"] | None = None
    ) -> ErrorRead:
        """What errors to expect, each query as if alone; changes nothing.

        Args:
            keys: of forecasts.
            shown: what each was made from, where the memory has a line.
        """
        shares, total = self._attention(keys)
        steps = len(self.prior)
        means = shares @ self._slots.values[: self.size, : 3 * steps]
        error = means[:, : 2 * steps].reshape(len(keys), steps, 2)
        square = means[:, 2 * steps :] + (1 - shares.sum(1, keepdims=True)) * self.prior
        square = np.maximum(square - (error * error).sum(2), 0.0)
        told = self._told(shown, len(keys))
        if self.line is not None:
            square *= self.line.left
        if self._slots.slopes is not None:
            error = error + self._beside(keys, shares, told)
        return ErrorRead(error, square, total)

    def write(
        self,
        keys: Float64[np.ndarray, "new key"],
        errors: Float64[np.ndarray, "new steps 2"],
        shown: Float64[np.ndarray, "new shown"] | None = None,
    ) -> None:
        """Writes errors, one after another.

        Args:
            keys: where and how.
            errors: what each forecast got wrong.
            shown: what each was made from, where the memory has a line.

        Raises:
            InputError: if a number is not finite, or beyond all measure; nothing is written then.
        """
        told = self._told(shown, len(keys))
        fits = (np.abs(keys) < LARGEST_KEY).all() and (np.abs(errors) < LARGEST).all()
        if not (fits and (np.abs(told) < LARGEST).all()):
            raise InputError(
                "got keys or errors that are not finite, or beyond all measure; nothing was written: give positions in "
                "metres"
            )
        squares = (errors * errors).sum(2)
        values = self._values(errors.reshape(len(errors), -1), squares, told)
        left = np.empty_like(values)
        for row, (key, value, square) in enumerate(zip(keys, values, squares, strict=True)):
            if self.line is not None:
                left[row] = value - (self._attention(key[None])[0] @ self._slots.values[: self.size])[0]
            self.num_written += 1
            self.prior += (square - self.prior) / self.num_written
            self._slots.add(Group(key, value, 1.0), self.alike)
        if self.line is not None:
            self.line.learn(left[:, 3 * len(self.prior) :], told)
        self._table = None

    def arrays(self) -> dict[str, np.ndarray]:
        """All that the memory knows, by name."""
        held = {name: getattr(self, name) for name in _ARRAYS}
        slots, line = self._slots, self.line
        if slots.spreads is not None and slots.slopes is not None:
            held |= {"spreads": slots.spreads[: self.size], "slopes": slots.slopes[: self.size]}
        if line is not None:
            shown = slots.values[: self.size, 3 * len(self.prior) :][:, : line.shown]
            held |= {"shown": shown} | line.arrays()
        return held

    def restore(self, arrays: Mapping[str, np.ndarray], num_written: int) -> None:
        """Takes what `arrays` gave of another memory in the place of its own.

        Raises:
            InputError: if there are more slots than `num_slots`, or they are none that a memory can have.
        """
        own, count = self.arrays(), len(arrays.get("counts", ()))
        if set(arrays) != set(own) or not all(part.dtype == np.float64 for part in arrays.values()):
            raise InputError(f"got arrays {sorted(arrays)}; {', '.join(own)} were expected, of 64 bits")
        of_all = ("prior", "scatter", "level", "judged")
        wanted = {name: part.shape if name in of_all else (count, *part.shape[1:]) for name, part in own.items()}
        fits = all(arrays[name].shape == shape for name, shape in wanted.items())
        if not fits or count > len(self._slots.counts):
            raise InputError("got slots of another size, or more of them, than this memory has room for")
        if not can_be(arrays, num_written):
            raise InputError("got slots with numbers that no memory has; save them again")
        self.prior, self.num_written = arrays["prior"].copy(), num_written
        told = arrays.get("shown", np.zeros((count, 0)))
        values = self._values(arrays["errors"].reshape(count, 2 * len(self.prior)), arrays["squares"], told)
        self._slots.restore(arrays["keys"], values, arrays["counts"], arrays.get("spreads"), arrays.get("slopes"))
        if self.line is not None:
            self.line.restore(arrays, num_written)
        self._table = None

    def _values(self, errors: np.ndarray, squares: np.ndarray, told: np.ndarray) -> np.ndarray:
        """What slots take means of; with slopes, what was shown and curves of errors last."""
        sloped = self._slots.slopes is not None
        return np.concatenate([errors, squares, told, *([errors @ self.drawn.T] if sloped else [])], 1)

    def _told(self, shown: np.ndarray | None, rows: int) -> np.ndarray:
        """What was shown of some rows; no numbers without a line."""
        size = 0 if self.line is None else self.line.shown
        told = np.zeros((rows, 0)) if shown is None else shown
        if told.shape != (rows, size):
            raise InputError(f"got shown of shape {told.shape} beside {rows} keys; {rows} rows of {size} were expected")
        return told

    def _attention(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shares of the slots in use, shape (queries, slots), and their weight before the empty one had its share."""
        slots, size = self._slots, self.size
        if slots.narrow is None:
            weights = np.exp(-0.5 * squared_distances(keys, slots.keys[:size])) * slots.counts[:size]
        else:
            weights = np.exp(-0.5 * squared_distances(keys, slots.keys[:size], slots.narrow[0][:size]))
            weights *= slots.counts[:size] * slots.narrow[1][:size]
        total = weights.sum(1)
        return weights / (total + self.empty)[:, None], total

    def _beside(self, keys: np.ndarray, shares: np.ndarray, told: np.ndarray) -> np.ndarray:
        """What slopes and the line add to means of errors, shape (queries, steps, 2)."""
        slots, size, answers = self._slots, self.size, len(self.drawn)
        assert slots.spreads is not None and slots.slopes is not None  # noqa: PT018
        if not size:
            return np.zeros((len(keys), len(self.prior), 2))
        weights = np.zeros((0, answers)) if self.line is None else self.line.weights
        if self._table is None:
            told_of = slots.values[:size, 3 * len(self.prior) : -answers]
            steep = slots.slopes[:size, :, -answers:] - slots.slopes[:size, :, :-answers] @ weights
            steep /= 1 + slots.spreads[:size, :, None]
            still = told_of @ weights
            still += np.einsum("sk,ska->sa", slots.keys[:size] - slots.keys[:1], steep)
            self._table = np.concatenate([steep.reshape(size, -1), still], 1)
        means = shares @ self._table
        away = keys - slots.keys[0]
        found = told @ weights - means[:, -answers:]
        found += (means[:, :-answers].reshape(len(keys), -1, answers) * away[:, :, None]).sum(1)
        drawn: np.ndarray = (found @ self.drawn).reshape(len(keys), len(self.prior), 2)
        return drawn


def smooth_curves(steps: int) -> Float64[np.ndarray, "steps curves"]:
    """Smooth curves of time that begin at 0, of length 1 and at right angles to one another."""
    times = np.arange(1, steps + 1) / steps
    return np.linalg.qr(times[:, None] ** np.arange(1, min(NUM_CURVES, steps) + 1))[0]
