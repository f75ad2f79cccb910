"""Learners of tracks that the study of trajectories compares, and those of them that are no networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from fastslow.core.error_memory import ErrorMemory
from fastslow.core.motion import Motion, Widths, motion_of, samples_needed
from fastslow.core.motion_frames import AlignedFrame, varied
from fastslow.data.tracks.resample import Windows
from fastslow.estimators.corrected import CorrectedMotion, numbers_shown, of_moving, velocities_shown

#: Samples that are seen before a forecast, and samples of one (Sec. 4.2).
SEEN = STEPS = 50
#: Of the memory of errors.
SLOTS = 2048
#: Ratios of the variances of a Kalman filter's acceleration and its measurements, 1/s^4, of which the best is taken.
_RATIOS = np.geomspace(1e-2, 1e6, 33)
#: Strengths of ridge regression, per row, of which the best is taken; and varied copies of each window.
_STRENGTHS, _COPIES = np.geomspace(1e-5, 10.0, 13), 4


class Setting(NamedTuple):
    """What learners are made for.

    Attributes:
        rate: of samples, Hz.
        seed: of weights and whatever is drawn.
        effort: share of the usual number of training steps.
    """

    rate: float
    seed: int
    effort: float = 1.0

    def steps(self, usual: int) -> int:
        """Training steps, at least one."""
        return max(1, round(usual * self.effort))


@runtime_checkable
class TrackLearner(Protocol):
    """Learns movements of one kind, adapts to a few of another, and forecasts."""

    def train(self, windows: Windows) -> None:
        """Learns from the first kind; called once."""

    def adapt_step(self, windows: Windows) -> None:
        """One more step of adaptation to windows: the same ones at each call, or those of a stream's next track."""

    def forecast(self, seen: Float64[np.ndarray, "rows samples 2"]) -> Float64[np.ndarray, "rows steps 2"]:
        """Positions, metres, each row as if alone; changes nothing."""


def rows_of(windows: Windows, rows: np.ndarray) -> Windows:
    """Some windows, in the order given."""
    return Windows(*(part[rows] for part in windows))


def first_of_each(windows: Windows) -> Windows:
    """The first window of each track."""
    return rows_of(windows, np.unique(windows.track, return_index=True)[1])


class Damped:
    """Constant velocity over the last half second, damped as fits the first kind best.

    Args:
        setting: see `Setting`.
        fitted: False for constant velocity itself.
    """

    def __init__(self, setting: Setting, *, fitted: bool = True) -> None:
        self.rate, self._fitted = setting.rate, fitted
        memory = ErrorMemory(2, 6, STEPS)
        self._rule = CorrectedMotion(memory, rate=setting.rate, steps=STEPS, widths=Widths())

    def train(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        if self._fitted:
            self._rule.choose_damping([np.concatenate([windows.seen, windows.future], 1)])

    def adapt_step(self, windows: Windows) -> None:
        """See `TrackLearner`; nothing is learned."""

    def forecast(self, seen: np.ndarray) -> np.ndarray:
        """See `TrackLearner`."""
        return motion_of(seen, self.rate).forecast(STEPS, rate=self.rate, damping=self._rule.damping)


class Line:
    """The line of least squares through all samples that were seen; it learns nothing."""

    def __init__(self, setting: Setting) -> None:
        pass

    def train(self, windows: Windows) -> None:
        """See `TrackLearner`."""

    def adapt_step(self, windows: Windows) -> None:
        """See `TrackLearner`."""

    def forecast(self, seen: np.ndarray) -> np.ndarray:
        """See `TrackLearner`."""
        times = np.arange(seen.shape[1]) - (seen.shape[1] - 1) / 2
        slope = np.einsum("s,rsa->ra", times / np.square(times).sum(), seen)
        ahead = times[-1] + np.arange(1, STEPS + 1)
        line: np.ndarray = seen.mean(1, keepdims=True) + ahead[None, :, None] * slope[:, None]
        return line


class Kalman:
    """A Kalman filter of constant velocity with white acceleration, by axis; its noise is fitted to the first kind.

    Forecasts depend on the ratio of the two variances alone, for the filter starts knowing nothing.
    """

    def __init__(self, setting: Setting) -> None:
        self.step, self._ratio = 1 / setting.rate, float(_RATIOS[len(_RATIOS) // 2])

    def train(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        errors = [np.square(self._filtered(windows.seen, ratio) - windows.future).mean() for ratio in _RATIOS]
        self._ratio = float(_RATIOS[int(np.argmin(errors))])

    def adapt_step(self, windows: Windows) -> None:
        """See `TrackLearner`; nothing is learned."""

    def forecast(self, seen: np.ndarray) -> np.ndarray:
        """See `TrackLearner`."""
        return self._filtered(seen, self._ratio)

    def _filtered(self, seen: np.ndarray, ratio: float) -> np.ndarray:
        dt = self.step
        motion = np.array([[1.0, dt], [0.0, 1.0]])
        noise = ratio * np.array([[dt**4 / 4, dt**3 / 2], [dt**3 / 2, dt**2]])
        state, spread = np.stack([seen[:, 0], np.zeros_like(seen[:, 0])]), np.diag([1.0, 1e6])
        for sample in seen.transpose(1, 0, 2)[1:]:
            state, spread = np.einsum("ij,jra->ira", motion, state), motion @ spread @ motion.T + noise
            gain = spread[:, 0] / (spread[0, 0] + 1.0)
            state = state + gain[:, None, None] * (sample - state[0])
            spread = spread - np.outer(gain, spread[0])
        ahead = dt * np.arange(1, STEPS + 1)
        positions: np.ndarray = state[0][:, None] + ahead[None, :, None] * state[1][:, None]
        return positions


class Ridge:
    """Ridge regression of what constant velocity gets wrong on the velocities before; fitted again to adapt.

    Its strength is chosen on every fifth track of the first kind, held out.
    """

    def __init__(self, setting: Setting) -> None:
        self.frame, self._generator = AlignedFrame(setting.rate), np.random.default_rng(setting.seed)
        size = 2 * self.frame.num_shown(SEEN) + 1
        self._gram, self._moment = np.zeros((size, size)), np.zeros((size, 2 * STEPS))
        self._strength, self._adapted, self.weights = 1.0, False, np.zeros((size, 2 * STEPS))

    def train(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        held_out = windows.track % 5 == 0
        self._take(rows_of(windows, ~held_out))
        test = rows_of(windows, held_out)
        errors = []
        for strength in _STRENGTHS:
            self._solve(strength)
            errors.append(np.square(self.forecast(test.seen) - test.future).mean() if len(test.seen) else strength)
        self._strength = float(_STRENGTHS[int(np.argmin(errors))])
        self._take(test)
        self._solve(self._strength)

    def adapt_step(self, windows: Windows) -> None:
        """See `TrackLearner`; further steps change nothing."""
        if not self._adapted:
            self._take(windows)
            self._solve(self._strength)
        self._adapted = True

    def forecast(self, seen: np.ndarray) -> np.ndarray:
        """See `TrackLearner`."""
        return self.frame.positions(seen, (self._shown(seen) @ self.weights).reshape(-1, STEPS, 2))

    def _take(self, windows: Windows) -> None:
        for _ in range(_COPIES):
            seen, future = varied(windows.seen, windows.future, self._generator)
            shown = self._shown(seen)
            self._gram += shown.T @ shown
            self._moment += shown.T @ self.frame.targets(seen, future).reshape(len(seen), -1)

    def _solve(self, strength: float) -> None:
        penalty = strength * self._gram[-1, -1] * np.eye(len(self._gram))
        penalty[-1, -1] = 0.0
        self.weights = np.linalg.lstsq(self._gram + penalty, self._moment, rcond=None)[0]

    def _shown(self, seen: np.ndarray) -> np.ndarray:
        inputs = self.frame.inputs(seen).reshape(len(seen), -1)
        return np.column_stack([inputs, np.ones(len(seen))])


class Asked(NamedTuple):
    """Windows as a memory of errors sees them.

    Attributes:
        motion: of each.
        plain: forecasts without the memory, metres, shape (windows, steps, 2).
        keys: shape (windows, key).
        shown: what forecasts were made from, shape (windows, shown); None without a line.
    """

    motion: Motion
    plain: np.ndarray
    keys: np.ndarray
    shown: np.ndarray | None


class Remembering:
    """A learner that stays as it was trained, corrected by a memory of its errors: one step, forward only.

    Args:
        setting: see `Setting`.
        base: what is corrected.
        stream: whether each call of `adapt_step` brings other windows.
        slots: of the memory.
        hidden: what the last layer of `base` sees of windows; None for the velocities that a movement is read from.
        num_hidden: numbers of that.
        slopes: for slots with slopes, see `ErrorMemory`.
        line: for a line beside those.
    """

    def __init__(
        self, setting: Setting, base: TrackLearner, *, stream: bool = False, slots: int = SLOTS,
        hidden: Callable[[np.ndarray], np.ndarray] | None = None, num_hidden: int = 0, slopes: bool = True,
        line: bool = True,
    ) -> None:  # fmt: skip
        self.rate, self.base, self._stream, self._hidden, self._line = setting.rate, base, stream, hidden, line
        shown = num_hidden + 1 if hidden else numbers_shown(setting.rate, None)
        self.memory = ErrorMemory(slots, 6, STEPS, slopes=slopes, shown=shown if line else None)

    def train(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        self.base.train(windows)

    def adapt_step(self, windows: Windows) -> None:
        """See `TrackLearner`; further steps with the same windows change nothing."""
        if self._stream or not self.memory.num_written:
            asked = self.asked(windows.seen)
            errors = asked.motion.turned(windows.future - asked.plain)
            self.memory.write(asked.keys, errors, asked.shown)

    def forecast(self, seen: np.ndarray) -> np.ndarray:
        """See `TrackLearner`."""
        asked = self.asked(seen)
        corrected: np.ndarray = asked.plain + asked.motion.turned_back(self.memory.read(asked.keys, asked.shown).error)
        return corrected

    def asked(self, seen: np.ndarray) -> Asked:
        """What windows are to the memory."""
        motion = motion_of(seen[:, -samples_needed(self.rate) :], self.rate)
        plain, keys = self.base.forecast(seen), motion.keys(Widths())
        if not self._line:
            return Asked(motion, plain, keys, None)
        numbers = self._hidden(seen) if self._hidden else velocities_shown(seen, self.rate)
        return Asked(motion, plain, keys, of_moving(numbers, motion))
