r"""What errors depend on linearly and everywhere alike, beside what depends on the place: least squares, recursive.

With :math:`\tilde x` and :math:`\tilde y` what is left of the numbers :math:`x` that a forecast was made from and of
its error :math:`y` once what was known of both at such a key, before this one was learned, is taken off, the weights
are

.. math:: W = \Big(\sum \tilde x \tilde x^\top + \lambda I\Big)^{-1} \sum \tilde x \tilde y^\top,

the estimate of a partially linear model (Robinson 1988, Speckman 1988), here one example after another.
:math:`\lambda` is `STRENGTH` times the mean square of a number of :math:`x`, so that units do not matter.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

#: Examples that no dependence at all counts for; chosen on junctions and on cyclists of VRU (`benchmarks/slots.py`).
STRENGTH = 300.0


class ErrorLine:
    """Sums of squares and products, and what follows from them.

    Args:
        shown: numbers of x.
        answers: numbers of y.

    Attributes:
        scatter: sums of squares and products of what is left of x and y, shape (shown + answers, shown + answers).
        level: sum of the squares of all numbers of x, as they were.
    """

    def __init__(self, shown: int, answers: int) -> None:
        self.shown, self.level = shown, 0.0
        self.scatter = np.zeros((shown + answers, shown + answers))
        self._weights: np.ndarray = np.zeros((shown, answers))
        self._count, self._left, self._fresh = 0, 1.0, True

    def learn(
        self, left: Float64[np.ndarray, "examples both"], shown: Float64[np.ndarray, "examples shown"], count: int
    ) -> None:
        """Takes examples in.

        Args:
            left: of x and y, side by side.
            shown: x.
            count: examples in all, these among them.
        """
        self.scatter += left.T @ left
        self.level += float(np.square(shown).sum())
        self._count, self._fresh = count, False

    def restore(self, scatter: np.ndarray, level: float, count: int) -> None:
        """Takes the sums of another in the place of its own."""
        self.scatter, self.level, self._count, self._fresh = scatter.copy(), level, count, False

    @property
    def weights(self) -> Float64[np.ndarray, "shown answers"]:
        """W of the sums so far."""
        self._solve()
        return self._weights

    @property
    def left(self) -> float:
        """Share of what is left of the squares of y that W leaves, from 0 to 1; 1 before the first example."""
        self._solve()
        return self._left

    def _solve(self) -> None:
        if self._fresh:
            return
        size, self._fresh = self.shown, True
        products, total = self.scatter[:size, size:], float(np.trace(self.scatter[size:, size:]))
        strength = STRENGTH * self.level / max(self._count * size, 1)
        if not strength > 0:
            return
        self._weights = np.linalg.solve(self.scatter[:size, :size] + strength * np.eye(size), products)
        explained = float((self._weights * products).sum())
        self._left = float(np.clip(1 - explained / total, 0.0, 1.0)) if total > 0 else 1.0
