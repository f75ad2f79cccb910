"""Tracks that are under way: their last samples at even times, and the moments whose outcome has come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from jaxtyping import Float64

from fastslow.data.tracks.base import FARTHEST, LATEST
from fastslow.errors import InputError, shown, shown_reason

#: Stamps are rounded, seconds.
_ROUNDING = 1e-6


class _Track:
    """One road user: when and where it was last said to be, and samples at even times since its history began."""

    __slots__ = ("count", "filled", "samples", "start", "t", "x", "y")

    def __init__(self, t: float, x: float, y: float, room: int) -> None:
        self.samples = np.empty((room, 2))
        self.begin(t, x, y)

    def begin(self, t: float, x: float, y: float) -> None:
        """A history of one sample."""
        self.start = self.t = t
        self.x, self.y, self.count, self.filled = x, y, 0, 0
        self.append(x, y, 0)

    def append(self, x: float, y: float, kept: int) -> None:
        """One even sample more; where there is no room, so many of those before are kept."""
        if self.filled == len(self.samples):
            self.samples[:kept] = self.samples[-kept:]
            self.filled = kept
        self.samples[self.filled] = x, y
        self.filled += 1
        self.count += 1

    def last(self, count: int) -> np.ndarray:
        """The last even samples, shape (count, 2); a view."""
        return self.samples[self.filled - count : self.filled]


class LiveTracks:
    """Road users by name.

    Args:
        rate: of even samples, Hz.
        past: samples that a forecast needs.
        steps: samples of a forecast.
        every: samples from one moment that is learned from to the next.
        max_gap: seconds without news after which a track's history begins anew.
        drop_after: seconds without news after which a track is forgotten.
    """

    def __init__(self, rate: float, *, past: int, steps: int, every: int, max_gap: float, drop_after: float) -> None:
        self.rate, self.past, self.steps, self.every = rate, past, steps, every
        self.max_gap, self.drop_after = max_gap, drop_after
        self._tracks: OrderedDict[Hashable, _Track] = OrderedDict()  # those heard of last at the end

    def __len__(self) -> int:
        return len(self._tracks)

    def add(self, name: Hashable, *sample: object) -> list[Float64[np.ndarray, "samples 2"]]:
        """Takes a sample in.

        Args:
            name: of the track.
            sample: time, x and y, any numbers.

        Returns:
            Past and outcome of each moment whose outcome is now known.

        Raises:
            InputError: if a number is not finite or time does not rise.
        """
        try:
            t, x, y = (float(number) for number in sample)  # type: ignore[arg-type]
            track = self._tracks.get(name)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"got {shown(sample)} for track {shown(name)} ({shown_reason(error)}); a name and three "
                "numbers were expected, seconds and metres"
            ) from error
        if not (abs(t) < LATEST and abs(x) < FARTHEST and abs(y) < FARTHEST):
            raise InputError(
                f"got t={t}, x={x}, y={y} for track {shown(name)}; finite numbers were expected, below {LATEST:g} s "
                f"and {FARTHEST:g} m"
            )
        if track is None:
            self._tracks[name] = _Track(t, x, y, 2 * (self.past + self.steps))
            self._drop(t)
            return []
        if t <= track.t:
            raise InputError(f"got t={t} for track {shown(name)} after t={track.t}; time must rise within a track")
        self._tracks.move_to_end(name)
        found: list[np.ndarray] = []
        if t - track.t > self.max_gap + _ROUNDING:
            track.begin(t, x, y)
        else:
            found = self._extend(track, t, x, y)
            track.t, track.x, track.y = t, x, y
        self._drop(t)
        return found

    def end(self, name: Hashable) -> None:
        """Forgets a track, if there is one."""
        self._tracks.pop(name, None)

    def is_ready(self, name: Hashable) -> bool:
        """Whether a track has samples enough."""
        track = self._tracks.get(name)
        return track is not None and track.count >= self.past

    def history(self, name: Hashable) -> tuple[float, Float64[np.ndarray, "samples 2"]]:
        """Time of the last even sample of a track, and as many of them as a forecast needs.

        Raises:
            InputError: if there is no such track, or it has too few.
        """
        track = self._tracks.get(name)
        if track is None:
            raise InputError(f"got track {shown(name)}; nothing has been heard of it, or not for {self.drop_after:g} s")
        if track.count < self.past:
            raise InputError(
                f"track {shown(name)} has {track.count} samples at {self.rate:g} Hz; a forecast needs {self.past}, "
                f"{self.past / self.rate:.2g} s without a gap of more than {self.max_gap:g} s"
            )
        return self._now(track), track.last(self.past).copy()

    def histories(self) -> tuple[list[Hashable], list[float], Float64[np.ndarray, "tracks samples 2"]]:
        """Names, times and samples of all tracks that have enough of them."""
        ready = [(name, track) for name, track in self._tracks.items() if track.count >= self.past]
        samples = [track.last(self.past) for _, track in ready]
        stacked = np.stack(samples) if samples else np.empty((0, self.past, 2))
        return [name for name, _ in ready], [self._now(track) for _, track in ready], stacked

    def _now(self, track: _Track) -> float:
        return track.start + (track.count - 1) / self.rate

    def _extend(self, track: _Track, t: float, x: float, y: float) -> list[np.ndarray]:
        """Adds the even samples up to a moment; what they complete."""
        before, x0, y0, found, length = track.t, track.x, track.y, [], self.past + self.steps
        while (moment := track.start + track.count / self.rate) <= t + _ROUNDING:
            share = min(1.0, (moment - before) / (t - before))
            track.append(x0 + share * (x - x0), y0 + share * (y - y0), length)
            if track.count >= length and (track.count - length) % self.every == 0:
                found.append(track.last(length).copy())
        return found

    def _drop(self, t: float) -> None:
        """Forgets whom nothing has been heard of for long."""
        while self._tracks:
            name, track = next(iter(self._tracks.items()))
            if abs(t - track.t) <= self.drop_after:
                return
            del self._tracks[name]
