r"""What errors depend on linearly and everywhere alike, beside what depends on the place: least squares, recursive.

With :math:`\tilde x` and :math:`\tilde y` what is left of the numbers :math:`x` that a forecast was made from and of
its error :math:`y` once what was known of both at such a key, before this one was learned, is taken off, the weights
are

.. math:: W = t \Big(\sum \tilde x \tilde x^\top + \lambda I\Big)^{-1} \sum \tilde x \tilde y^\top,

the estimate of a partially linear model (Robinson 1988, Speckman 1988), here one example after another.
:math:`\lambda` is `STRENGTH` times the mean square of a number of :math:`x`, so that units do not matter.

Examples are moments of few movements, so that weights which fit them need not hold for the next one. How far they are
to be trusted shows as examples come: with :math:`z` what the weights, untrusted, said of each before it was learned,

.. math:: t = \frac{\sum_b a_b}{\sum_b s_b} - \frac{\sqrt{\sum_b (a_b - \bar t s_b)^2}}{\sum_b s_b}, \quad
          a_b = \sum_{i \in b} z_i \cdot \tilde y_i, \quad s_b = \sum_{i \in b} |z_i|^2,

from 0 to 1: one standard error below the share :math:`\bar t` that held, of blocks :math:`b` of `EVERY` examples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

#: Examples that no dependence at all counts for; chosen on junctions and on cyclists of VRU (`benchmarks/slots.py`).
STRENGTH = 300.0
#: Examples of a block, after which the weights are found anew: about those of one movement or two.
EVERY = 64


class Trust:
    """How far what was said of examples to come held for them.

    Attributes:
        sums: of a, s, a^2, a s and s^2 over blocks, and a and s of the block under way, shape (7,).
    """

    def __init__(self) -> None:
        self.sums = np.zeros(7)

    def learn(
        self, said: Float64[np.ndarray, "examples answers"], outcome: Float64[np.ndarray, "examples answers"]
    ) -> None:
        """Takes examples of the block under way in."""
        self.sums[5:] += float((said * outcome).sum()), float((said * said).sum())

    def end_block(self) -> None:
        """Takes the block under way in, and begins another."""
        a, s = self.sums[5:]
        self.sums[:5] += a, s, a * a, a * s, s * s
        self.sums[5:] = 0.0

    @property
    def share(self) -> float:
        """From 0 to 1; 0 before anything has been said."""
        a, s, aa, a_s, ss, *_ = self.sums
        if not s > 0:
            return 0.0
        error = np.sqrt(max(aa - 2 * (a / s) * a_s + (a / s) ** 2 * ss, 0.0))
        return float(np.clip((a - error) / s, 0.0, 1.0))


class ErrorLine:
    """Sums of squares and products, and what follows from them.

    Args:
        shown: numbers of x.
        answers: numbers of y.

    Attributes:
        scatter: sums of squares and products of what is left of x and y, over whole blocks and over the block under
            way, shape (2, shown + answers, shown + answers).
        level: sums of the squares of all numbers of x, as they were, likewise, shape (2,).
        trust: in the weights.
        untrusted: weights before they are trusted, of whole blocks, shape (shown, answers).
    """

    def __init__(self, shown: int, answers: int) -> None:
        self.shown, self._count, self.trust = shown, 0, Trust()
        self.scatter, self.level = np.zeros((2, shown + answers, shown + answers)), np.zeros(2)
        self.untrusted: np.ndarray = np.zeros((shown, answers))

    def learn(self, left: Float64[np.ndarray, "examples both"], shown: Float64[np.ndarray, "examples shown"]) -> None:
        """Takes examples in, which the weights are judged by.

        Args:
            left: of x and y, side by side.
            shown: x.
        """
        until = np.arange(EVERY - self._count % EVERY, len(left), EVERY)
        for part, told in zip(np.split(left, until), np.split(shown, until), strict=True):
            self.trust.learn(part[:, : self.shown] @ self.untrusted, part[:, self.shown :])
            self.scatter[1] += part.T @ part
            self.level[1] += float(np.square(told).sum())
            self._count += len(part)
            if self._count % EVERY == 0:
                self.trust.end_block()
                for sums in (self.scatter, self.level):
                    sums[0] += sums[1]
                    sums[1] = 0.0
                self._solve()

    def arrays(self) -> dict[str, np.ndarray]:
        """All that it knows, by name."""
        return {"scatter": self.scatter, "level": self.level, "judged": self.trust.sums}

    def restore(self, arrays: Mapping[str, np.ndarray], count: int) -> None:
        """Takes what `arrays` gave of another, which had learned so many examples, in the place of its own."""
        self.scatter, self.level, self.trust.sums = (arrays[name].copy() for name in self.arrays())
        self._count = count
        self._solve()

    @property
    def weights(self) -> Float64[np.ndarray, "shown answers"]:
        """W, as it was found last."""
        return self.trust.share * self.untrusted

    @property
    def left(self) -> float:
        """Share of what is left of the squares of y that W leaves, from 0 to 1; 1 before the first example."""
        weights, size, scatter = self.weights, self.shown, self.scatter[0]
        total = float(np.trace(scatter[size:, size:]))
        explained = float((weights * (2 * scatter[:size, size:] - scatter[:size, :size] @ weights)).sum())
        return float(np.clip(1 - explained / total, 0.0, 1.0)) if total > 0 else 1.0

    def _solve(self) -> None:
        """Weights of whole blocks; 0 where nothing was shown in them."""
        size, scatter = self.shown, self.scatter[0]
        strength = STRENGTH * self.level[0] / max(self._count // EVERY * EVERY * size, 1)
        self.untrusted = np.zeros_like(scatter[:size, size:])
        if strength > 0:
            self.untrusted = np.linalg.solve(scatter[:size, :size] + strength * np.eye(size), scatter[:size, size:])
