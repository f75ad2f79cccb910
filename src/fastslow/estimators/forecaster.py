"""Where a road user will be: a forecast that does not learn, and a memory of what it gets wrong at each place."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from fastslow.core.error_memory import ErrorMemory
from fastslow.core.motion import Widths
from fastslow.core.motion_network import MotionNetwork
from fastslow.data.checks import refuse_unless_positive
from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.resample import moments_of, resampled
from fastslow.errors import InputError, shown
from fastslow.estimators.corrected import CorrectedMotion, numbers_shown
from fastslow.estimators.forecaster_files import load_forecaster, save_forecaster
from fastslow.estimators.forecaster_options import checked_numbers, checked_widths, refuse_unless_told, steps_within
from fastslow.estimators.live_tracks import LiveTracks


class Forecast(NamedTuple):
    """Where a road user will be.

    Attributes:
        times: seconds, on the clock of the track, shape (steps,).
        positions: metres, shape (steps, 2).
        spread: root mean square distance that is expected between these and where it will be, metres, shape (steps,);
            not a number before anything has been learned.
        evidence: about how many errors of before speak, here and moving like this.
        plain: positions without what has been learned, shape (steps, 2).
    """

    times: Float64[np.ndarray, " steps"]
    positions: Float64[np.ndarray, "steps 2"]
    spread: Float64[np.ndarray, " steps"]
    evidence: float
    plain: Float64[np.ndarray, "steps 2"]


class FastSlowForecaster:
    r"""Forecasts road users and learns from each as its future comes, forward only; bounded, and without training.

    Constant velocity, damped as `fit` finds best, or a network that was trained before, corrected by a memory of its
    errors (`core.error_memory`): where and how one moved, and what the forecast got wrong there. It is not Eq. 10 of
    the paper: see `docs/deviations.md`. All tracks share one clock, for by it those are forgotten that have ended.

    Examples:
        >>> from fastslow import FastSlowForecaster
        >>> forecaster = FastSlowForecaster(rate=10, horizon=1.0)
        >>> for step in range(30):
        ...     _ = forecaster.update("someone", t=step / 10, x=0.14 * step, y=5.0)
        >>> forecast = forecaster.predict("someone")
        >>> forecast.positions[-1].round(2).tolist()
        [5.46, 5.0]

    Args:
        rate: samples a second that forecasts are made of, Hz; updates at other rates are interpolated.
        horizon: seconds ahead.
        learn_every: seconds from one moment of a track that is learned from to the next.
        max_slots: of the memory.
        empty: weight of the empty slot, see `ErrorMemory`.
        widths: of keys, see `Widths`.
        slopes: of slots, see `ErrorMemory`: half as much memory again, and 256 slots do the work of 2048.
        line: for what is wrong everywhere alike, see `ErrorMemory`, with slopes only: two to four times the memory.
        network: in the place of damped constant velocity, see `training.motion.train_motion_network`; of the same rate,
            and as long a horizon or a longer one.
        max_gap: seconds without an update after which the history of a track begins anew: nothing is made up there.
        drop_after: seconds without an update after which a track is forgotten, on the clock that all tracks share, once
            another has been heard of twice that much later; what was learned of it stays. For a stray stamp, or while a
            clock that began anew catches up, none is forgotten before 100,000 updates of others.

    Attributes:
        rule_: what has been learned: `damping`, 0 before `fit`, and `memory`.
    """

    def __init__(
        self,
        *,
        rate: Any = 25.0,  # noqa: ANN401 - looked at here, as all of them
        horizon: Any = 2.0,  # noqa: ANN401
        learn_every: Any = 0.2,  # noqa: ANN401
        max_slots: Any = 256,  # noqa: ANN401
        empty: Any = 1.0,  # noqa: ANN401
        widths: Any = Widths(),  # noqa: ANN401, B008
        slopes: Any = True,  # noqa: ANN401
        line: Any = True,  # noqa: ANN401
        network: Any = None,  # noqa: ANN401
        max_gap: Any = 0.25,  # noqa: ANN401
        drop_after: Any = 10.0,  # noqa: ANN401
    ) -> None:
        numbers = checked_numbers(
            rate=rate, horizon=horizon, learn_every=learn_every, max_gap=max_gap, drop_after=drop_after, empty=empty,
            max_slots=max_slots,
        )  # fmt: skip
        self.rate, self.horizon, self.learn_every, self.max_gap, self.drop_after, self.empty, self.max_slots = numbers
        refuse_unless_told(slopes=slopes, line=line)
        self.widths = checked_widths(widths)
        if network is not None and not isinstance(network, MotionNetwork):
            raise InputError(f"got network={shown(network)}; a MotionNetwork was expected, or None")
        self.network, self.slopes, self.line = network, bool(slopes), bool(line and slopes)
        self._every = max(1, round(self.learn_every * self.rate))  # samples
        self._forget()

    @property
    def rule_(self) -> CorrectedMotion:
        """See the class."""
        return self._rule

    @property
    def steps(self) -> int:
        """Samples of a forecast."""
        return round(self.horizon * self.rate)

    def fit(self, tracks: TrackData) -> FastSlowForecaster:
        """Forgets everything, chooses the damping for some tracks, and learns them one after another.

        Args:
            tracks: at any rate.

        Raises:
            InputError: if none of them is long enough for a forecast and its outcome, or they are no tracks.
        """
        _refuse_unless_tracks(tracks)
        even = resampled(tracks, self.rate, bridged=self.max_gap)
        if next(self._moments(even), None) is None:
            raise InputError(
                f"got {tracks.num_tracks} tracks, none of {self._rule.length / self.rate:.3g} s without a gap, which a "
                "forecast and its outcome take; give longer ones, or a shorter horizon"
            )
        self._forget()
        self._rule.choose_damping(self._moments(even))
        for moments in self._moments(even):
            self._rule.learn(moments)
        return self

    def partial_fit(self, tracks: TrackData) -> FastSlowForecaster:
        """Learns tracks whose future is known, in order; those too short for it teach nothing.

        Between samples up to `max_gap` apart, or one and a half of a track's own steps, it is interpolated, as `update`
        does.
        """
        _refuse_unless_tracks(tracks)
        for moments in self._moments(resampled(tracks, self.rate, bridged=self.max_gap)):
            self._rule.learn(moments)
        return self

    def update(
        self,
        track: Hashable,
        t: Any,  # noqa: ANN401 - numbers of any type
        x: Any,  # noqa: ANN401
        y: Any,  # noqa: ANN401
    ) -> FastSlowForecaster:
        """Says where a road user is; what earlier forecasts of it got wrong is learned.

        All tracks share one clock: others that have not been heard of for `drop_after` seconds by it are forgotten.

        Args:
            track: whose, any name.
            t: seconds on the clock of all tracks, later than the last of this one.
            x: metres.
            y: metres.

        Raises:
            InputError: if a number is not finite, or time does not rise; nothing has changed then.
        """
        self._rule.learn_soon(self._live.add(track, t, x, y))
        return self

    def end(self, track: Hashable) -> FastSlowForecaster:
        """Forgets a track that has ended; what was learned of it stays."""
        self._live.end(track)
        return self

    def predict(self, track: Hashable, horizon: Any = None) -> Forecast:  # noqa: ANN401 - seconds
        """Where a road user will be, from its last samples; changes nothing.

        Args:
            track: of `update`.
            horizon: seconds ahead, at most the forecaster's; that if None.

        Raises:
            InputError: if there is no such track, its history is too short, or the horizon is too far.
        """
        steps = self.steps if horizon is None else steps_within(horizon, self.horizon, self.rate)
        now, history = self._live.history(track)
        positions, spread, evidence, plain = self._rule.forecast(history[None])
        times = now + np.arange(1, steps + 1) / self.rate
        return Forecast(times, positions[0, :steps], spread[0, :steps], float(evidence[0]), plain[0, :steps])

    def ready(self, track: Hashable) -> bool:
        """Whether there is such a track, with history enough for `predict`."""
        return self._live.is_ready(track)

    def predict_all(self) -> dict[Hashable, Forecast]:
        """`predict` for every track that has history enough, at once."""
        names, now, histories = self._live.histories()
        if not names:
            return {}
        positions, spread, evidence, plain = self._rule.forecast(histories)
        ahead = np.arange(1, self.steps + 1) / self.rate
        return {
            name: Forecast(now[row] + ahead, positions[row], spread[row], float(evidence[row]), plain[row])
            for row, name in enumerate(names)
        }

    def save(self, path: str | Path) -> None:
        """Writes what has been learned as one .safetensors file, atomically; tracks under way are not in it."""
        save_forecaster(path, self)

    @classmethod
    def load(cls, path: str | Path, *, max_gap: Any = None) -> FastSlowForecaster:  # noqa: ANN401
        """A forecaster as it was when it was saved, with no tracks under way.

        Args:
            path: of the file; or "pretrained:junction", whose network was trained on made-up junctions (25 Hz, 2 s) and
                whose memory is empty.
            max_gap: seconds, see the class, in the place of what it was saved with.

        Raises:
            InputError: if the file is missing or damaged.
        """
        changed = {} if max_gap is None else {"max_gap": refuse_unless_positive("max_gap", max_gap, "seconds")}
        return load_forecaster(path, cls, **changed)

    def _forget(self) -> None:
        told = numbers_shown(self.rate, self.network) if self.line else None
        memory = ErrorMemory(self.max_slots, 6, self.steps, empty=self.empty, slopes=self.slopes, shown=told)
        self._rule = CorrectedMotion(memory, rate=self.rate, steps=self.steps, widths=self.widths, network=self.network)
        sizes = {"past": self._rule.past, "steps": self.steps, "every": self._every}
        self._live = LiveTracks(self.rate, **sizes, max_gap=self.max_gap, drop_after=self.drop_after)

    def _moments(self, even: TrackData) -> Iterator[Float64[np.ndarray, "moments samples 2"]]:
        """Past and outcome of each moment of tracks that is learned from, in the order of time within each."""
        return moments_of(even, length=self._rule.length, every=self._every)


def _refuse_unless_tracks(tracks: object) -> None:
    if isinstance(tracks, TrackData):
        return
    shape = getattr(tracks, "shape", None)  # of arrays, tensors and data frames
    got = f"{type(tracks).__name__} of shape {tuple(shape)}" if isinstance(shape, tuple) else shown(tracks)
    raise InputError(
        f"got {got}; a TrackData was expected: fastslow.data.load_tracks('tracks.csv') gives one, from a table with "
        "columns track, t, x and y"
    )
