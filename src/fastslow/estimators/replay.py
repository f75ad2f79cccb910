"""A stream of tracks played to a forecaster: what it forecast on the way, and what followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from fastslow.data.tracks.base import TrackData
from fastslow.estimators.forecaster import FastSlowForecaster, Forecast

_ROUNDING = 1e-6


class Played(NamedTuple):
    """A forecast, and its outcome.

    Attributes:
        track: number of the track.
        made_at: seconds.
        forecast: as it was made.
        outcome: where the road user then was at each of its times, metres; not a number beyond the track's end, nor in
            a gap of it.
    """

    track: int
    made_at: float
    forecast: Forecast
    outcome: Float64[np.ndarray, "steps 2"]

    def errors(self) -> tuple[float, float, float, float] | None:
        """Mean and last distance from the outcome, metres, and those of the plain forecast; None if it is not known."""
        if np.isnan(self.outcome).any():
            return None
        learned, plain = (
            np.hypot(*(positions - self.outcome).T) for positions in (self.forecast.positions, self.forecast.plain)
        )
        return float(learned.mean()), float(learned[-1]), float(plain.mean()), float(plain[-1])


def play(
    forecaster: FastSlowForecaster,
    tracks: TrackData,
    *,
    every: float,
    gaps: Sequence[float] | None = None,
    on_sample: Callable[[int, int], object] = lambda done, total: None,
) -> Iterator[Played]:
    """Plays one recording, sample by sample in the order of its clock; each forecast is made before its future is seen.

    Where there is no common clock, tracks come one after another, in an order drawn at random, always the same one.

    Args:
        forecaster: learns on the way.
        tracks: of one recording.
        every: seconds from one forecast of a track to the next; the first as soon as there can be one.
        gaps: seconds without a sample after which each track begins anew, at most the forecaster's `max_gap`; that of
            all if None.
        on_sample: called with samples done and how many there are.
    """
    starts = tracks.starts.tolist()
    due, last = [-np.inf] * tracks.num_tracks, [-np.inf] * tracks.num_tracks
    gaps = [forecaster.max_gap] * tracks.num_tracks if gaps is None else gaps
    order = order_of(tracks)
    for done, row in enumerate(order.tolist(), 1):
        number, t = int(tracks.track[row]), float(tracks.times[row])
        name = tracks.names[number]
        if t - last[number] > gaps[number] + _ROUNDING:
            forecaster.end(name)
        last[number] = t
        forecaster.update(name, t, *tracks.positions[row])
        if t >= due[number] and forecaster.ready(name):
            forecast = forecaster.predict(name)
            due[number] = t + every - _ROUNDING
            rows = slice(starts[number], starts[number + 1])
            outcome = _outcome(tracks.times[rows], tracks.positions[rows], forecast.times, gaps[number])
            yield Played(number, t, forecast, outcome)
        if row == starts[number + 1] - 1 and not tracks.one_clock:
            forecaster.end(name)
        on_sample(done, len(order))


def order_of(tracks: TrackData) -> Int64[np.ndarray, " samples"]:
    """Rows in the order in which they come."""
    if not tracks.one_clock:
        starts = tracks.starts
        drawn = np.random.default_rng(0).permutation(tracks.num_tracks)
        return np.concatenate([np.empty(0, np.int64), *(np.arange(starts[k], starts[k + 1]) for k in drawn)])
    return np.argsort(tracks.times, kind="stable").astype(np.int64)


def _outcome(
    times: Float64[np.ndarray, " samples"],
    positions: Float64[np.ndarray, "samples 2"],
    asked: Float64[np.ndarray, " steps"],
    max_gap: float,
) -> Float64[np.ndarray, "steps 2"]:
    """Between the two samples around each moment, where they are near."""
    columns = [np.interp(asked, times, positions[:, axis]) for axis in (0, 1)]
    found = np.column_stack(columns)
    after = np.searchsorted(times, asked - _ROUNDING).clip(1, len(times) - 1)
    far = (times[after] - times[after - 1] > max_gap + _ROUNDING) & (np.abs(asked - times[after]) > _ROUNDING)
    found[far | (asked > times[-1] + _ROUNDING)] = np.nan
    return found
