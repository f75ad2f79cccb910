"""What a forecaster knows: a forecast that does not change, and a memory of the errors that are left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fastslow.core.error_memory import ErrorMemory
from fastslow.core.motion import STILL, Motion, Widths, motion_of, samples_needed
from fastslow.core.motion_frames import AlignedFrame
from fastslow.core.motion_network import MotionNetwork
from fastslow.errors import InputError

#: Shares of the velocity lost within a second, of which the best is taken.
_DAMPINGS = np.concatenate([[0.0], np.geomspace(0.01, 0.9, 40)])
#: Moments that may wait to be learned.
_MOST_PENDING = 256


class Corrected(NamedTuple):
    """Forecasts, one a row.

    Attributes:
        positions: metres, shape (rows, steps, 2).
        spread: root mean square distance that is expected from them, metres, shape (rows, steps).
        evidence: see `ErrorRead.weight`.
        plain: positions without the memory.
    """

    positions: Float64[np.ndarray, "rows steps 2"]
    spread: Float64[np.ndarray, "rows steps"]
    evidence: Float64[np.ndarray, " rows"]
    plain: Float64[np.ndarray, "rows steps 2"]


class LearnedErrors(NamedTuple):
    """What slots of a memory say, one a row, on the map.

    Attributes:
        places: where road users were, metres, shape (slots, 2).
        errors: mean error of their forecasts at the horizon: where they then were, from where they had been expected,
            metres, shape (slots, 2).
        counts: errors that is the mean of, shape (slots,).
        headings: unit vectors, shape (slots, 2); 0 for who stood.
    """

    places: Float64[np.ndarray, "slots 2"]
    errors: Float64[np.ndarray, "slots 2"]
    counts: Float64[np.ndarray, " slots"]
    headings: Float64[np.ndarray, "slots 2"]


class CorrectedMotion:
    """Damped constant velocity, or a network in its place, and a memory of its errors, on samples at even times.

    Args:
        memory: of `steps` steps and keys of six numbers; with a line, told the `numbers_shown`.
        rate: of samples, Hz.
        steps: of a forecast.
        widths: of keys.
        network: for samples of that rate, and as many steps or more; None for damped constant velocity.

    Attributes:
        damping: share of the velocity lost within a second; of no effect with a network.

    Raises:
        InputError: if the network is for another rate, or not for as many steps.
    """

    def __init__(
        self, memory: ErrorMemory, *, rate: float, steps: int, widths: Widths, network: MotionNetwork | None = None
    ) -> None:
        if network is not None and (network.rate != rate or network.steps < steps):
            raise InputError(
                f"got a network for {network.steps} steps at {network.rate:g} Hz, and {steps} steps at {rate:g} Hz to "
                "forecast: give that rate and at most that horizon, or train another network"
            )
        self._memory, self.rate, self.steps, self.widths, self.damping = memory, rate, steps, widths, 0.0
        self.network = network
        self._pending: list[np.ndarray] = []  # moments to be learned together, before the memory is next looked at

    @property
    def memory(self) -> ErrorMemory:
        """With all in it that has been learned."""
        if self._pending:
            moments, self._pending = np.stack(self._pending), []
            self.learn(moments)
        return self._memory

    @property
    def past(self) -> int:
        """Samples that a forecast is made of."""
        return samples_needed(self.rate) if self.network is None else self.network.samples

    @property
    def length(self) -> int:
        """Samples of a forecast's past and outcome."""
        return self.past + self.steps

    def choose_damping(self, blocks: Iterable[Float64[np.ndarray, "moments samples 2"]]) -> None:
        """Takes the damping of least squared error on moments, see `learn`; so many at a time as there is room for."""
        errors = np.zeros(len(_DAMPINGS))
        for moments in blocks:
            motion, outcome = motion_of(moments[:, : -self.steps], self.rate), moments[:, -self.steps :]
            errors += [
                np.square(motion.forecast(self.steps, rate=self.rate, damping=damping) - outcome).sum(2).sum()
                for damping in _DAMPINGS
            ]
        self.damping = float(_DAMPINGS[int(np.argmin(errors))])

    def learn(self, moments: Float64[np.ndarray, "moments samples 2"]) -> None:
        """Writes what forecasts at some moments got wrong.

        Args:
            moments: past and outcome of each, `length` samples, metres.
        """
        memory, pasts = self.memory, moments[:, : -self.steps]
        motion = motion_of(pasts, self.rate)
        plain, shown = self._plain(pasts, motion)
        errors = moments[:, -self.steps :] - plain
        memory.write(motion.keys(self.widths), motion.turned(errors), shown)

    def learn_soon(self, moments: list[Float64[np.ndarray, "samples 2"]]) -> None:
        """As `learn`, before anything is asked next."""
        self._pending += moments
        if len(self._pending) >= _MOST_PENDING:
            _ = self.memory

    def forecast(self, pasts: Float64[np.ndarray, "rows samples 2"]) -> Corrected:
        """Forecasts from the last samples of road users."""
        motion, memory = motion_of(pasts, self.rate), self.memory
        plain, shown = self._plain(pasts, motion)
        read = memory.read(motion.keys(self.widths), shown)
        spread = np.sqrt(read.square) if memory.num_written else np.full_like(read.square, np.nan)
        return Corrected(plain + motion.turned_back(read.error), spread, read.weight, plain)

    def learned_errors(self) -> LearnedErrors:
        """What each slot of the memory says, in the order of slots."""
        keys, errors = self.memory.keys, self.memory.errors[:, -1]
        moves = keys[:, 4:5] * self.widths.speed > STILL  # as `motion_of` tells who has a heading
        headings = np.where(moves, keys[:, 2:4] / np.maximum(np.hypot(*keys[:, 2:4].T), 1e-12)[:, None], 0.0)
        along = np.where(moves, headings, [1.0, 0.0])
        across = np.column_stack([-along[:, 1], along[:, 0]])
        world = errors[:, :1] * along + errors[:, 1:] * across
        return LearnedErrors(keys[:, :2] * self.widths.place, world, self.memory.counts, headings)

    def _plain(
        self, pasts: Float64[np.ndarray, "rows samples 2"], motion: Motion
    ) -> tuple[Float64[np.ndarray, "rows steps 2"], Float64[np.ndarray, "rows shown"] | None]:
        """Forecasts, and what a memory with a line is told that they were made from."""
        lined = self._memory.line is not None
        if self.network is not None:
            hidden = self.network.hidden(pasts)
            plain = self.network.answered(pasts, hidden)[:, : self.steps]
            return plain, of_moving(hidden, motion) if lined else None
        plain = motion.forecast(self.steps, rate=self.rate, damping=self.damping)
        return plain, of_moving(velocities_shown(pasts, self.rate), motion) if lined else None


def numbers_shown(rate: float, network: MotionNetwork | None) -> int:
    """How many numbers a memory with a line is told: what the last layer of a network sees, or velocities; and a 1."""
    if network is not None:
        return network.num_hidden + 1
    return 2 * AlignedFrame(rate).num_shown(samples_needed(rate)) + 1


def velocities_shown(pasts: Float64[np.ndarray, "rows samples 2"], rate: float) -> Float64[np.ndarray, "rows shown"]:
    """Velocities along the heading over the samples that a movement is read from, m/s."""
    return AlignedFrame(rate).inputs(pasts[:, -samples_needed(rate) :]).reshape(len(pasts), -1)


def of_moving(numbers: Float64[np.ndarray, "rows numbers"], motion: Motion) -> Float64[np.ndarray, "rows more"]:
    """Numbers and a 1, all 0 for who is still: without a heading, nothing of them holds in other directions."""
    moves = np.hypot(*motion.velocity.T) > STILL
    told: np.ndarray = np.concatenate([numbers, np.ones((len(numbers), 1))], 1) * moves[:, None]
    return told
