"""Tracks that are under way: their last samples at even times, and the moments whose outcome has come."""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from jaxtyping import Float64

from fastslow.data.tracks.base import FARTHEST, LATEST
from fastslow.errors import InputError, shown, shown_reason

#: Stamps are rounded, seconds.
_ROUNDING = 1e-6
#: Updates of others after which a track is forgotten even if it is one stamp alone that is far from its last.
_LONG_UNHEARD = 100_000
#: Tracks that an update looks at, to forget them; and samples that there is room for at first: many are heard of once.
_LOOKED_AT, _FIRST_ROOM = 8, 4


class _Track:
    """One road user: when and where it was last said to be, and samples at even times since its history began.

    `heard` is the number of the update in which it was last heard of.
    """

    __slots__ = ("count", "filled", "heard", "room", "samples", "start", "t", "x", "y")

    def __init__(self, t: float, x: float, y: float, room: int) -> None:
        self.samples, self.room, self.heard = np.empty((min(room, _FIRST_ROOM), 2)), room, 0
        self.begin(t, x, y)

    def begin(self, t: float, x: float, y: float) -> None:
        """A history of one sample."""
        self.start = self.t = t
        self.x, self.y, self.count, self.filled = x, y, 0, 0
        self.append(x, y, 0)

    def append(self, x: float, y: float, kept: int) -> None:
        """One even sample more; where there is no room, so many of those before are kept."""
        if self.filled == len(self.samples) < self.room:
            before, self.samples = self.samples, np.empty((min(self.room, 2 * self.filled), 2))
            self.samples[: self.filled] = before
        elif self.filled == self.room:
            self.samples[:kept] = self.samples[-kept:]
            self.filled = kept
        self.samples[self.filled] = x, y
        self.filled += 1
        self.count += 1

    def last(self, count: int) -> np.ndarray:
        """The last even samples, shape (count, 2); a view."""
        return self.samples[self.filled - count : self.filled]


class LiveTracks:
    """Road users by name, on one clock: a track is forgotten by what the stamps of others say.

    Args:
        rate: of even samples, Hz.
        past: samples that a forecast needs.
        steps: samples of a forecast.
        every: samples from one moment that is learned from to the next.
        max_gap: seconds without news after which a track's history begins anew.
        drop_after: seconds without news after which a track is forgotten, once another has been heard of twice that
            much later: for one stray stamp nobody is. Who is that far from now in either direction, as after the clock
            began anew, is forgotten after 100,000 updates of others.
    """

    def __init__(self, rate: float, *, past: int, steps: int, every: int, max_gap: float, drop_after: float) -> None:
        self.rate, self.past, self.steps, self.every = rate, past, steps, every
        self.max_gap, self.drop_after = max_gap, drop_after
        self._tracks: OrderedDict[Hashable, _Track] = OrderedDict()  # heard of last at the end; or stray
        self._updates = 0

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
        track, (t, x, y) = self._known(name), _numbers(name, sample)
        found: list[np.ndarray] = []
        before = -math.inf if track is None else track.t
        if t <= before:
            raise InputError(
                f"got t={t} for track {shown(name)} after t={before}; time must rise within a track: end it first if "
                "its clock began anew"
            )
        if track is None:
            track = self._tracks[name] = _Track(t, x, y, 2 * (self.past + self.steps))
        elif t - before > self.max_gap + _ROUNDING:
            track.begin(t, x, y)
        else:
            found = self._extend(track, t, x, y)
            track.t, track.x, track.y = t, x, y
        self._tracks.move_to_end(name)
        self._updates += 1
        track.heard = self._updates
        self._drop(before, t)
        return found

    def end(self, name: Hashable) -> None:
        """Forgets a track, if there is one."""
        if self._known(name) is not None:
            del self._tracks[name]

    def is_ready(self, name: Hashable) -> bool:
        """Whether a track has samples enough."""
        track = self._known(name)
        return track is not None and track.count >= self.past

    def history(self, name: Hashable) -> tuple[float, Float64[np.ndarray, "samples 2"]]:
        """Time of the last even sample of a track, and as many of them as a forecast needs.

        Raises:
            InputError: if there is no such track, or it has too few.
        """
        track = self._known(name)
        if track is None:
            raise InputError(
                f"got track {shown(name)}; nothing has been heard of it, or not for {self.drop_after:g} s on the clock "
                "that all tracks share: call update first"
            )
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

    def _known(self, name: Hashable) -> _Track | None:
        """The track of a name, if there is one; refuses what is no name."""
        try:
            return self._tracks.get(name)
        except TypeError as error:
            raise InputError(
                f"got track {shown(name)} ({shown_reason(error)}); a name was expected, such as a text or a number"
            ) from error

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

    def _drop(self, before: float, t: float) -> None:
        """Forgets whom nothing has been heard of for long, given the last two stamps of a track that has."""
        forgotten = True
        while forgotten:
            forgotten = False
            for name, track in list(itertools.islice(self._tracks.items(), _LOOKED_AT)):
                unheard = self._updates - track.heard >= _LONG_UNHEARD
                if before - track.t > self.drop_after or (unheard and abs(t - track.t) > self.drop_after):
                    del self._tracks[name]
                    forgotten = True
                elif track.t - t > self.drop_after:
                    self._tracks.move_to_end(name)  # of another clock: it keeps no others back


def _numbers(name: Hashable, sample: tuple[object, ...]) -> tuple[float, float, float]:
    """Time and place of a sample; refuses what is none."""
    try:
        t, x, y = (float(number) for number in sample)  # type: ignore[arg-type]
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
    return t, x, y
