"""Tracks of road users as one table: what every reader of tracks gives."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from fastslow.errors import InputError, shown

#: Metres beyond which a place is none of a road user, and seconds beyond which a stamp is none: stamps may count from
#: 1970, and numbers still tell a microsecond from the next.
FARTHEST, LATEST = 1e9, 4e9
#: Samples a second that no one takes, Hz.
HIGHEST_RATE = 1e9


@dataclasses.dataclass(frozen=True)
class TrackData:
    """Where road users were, and when: samples of one track after another, each track's in the order of time.

    Attributes:
        positions: x and y, metres, shape (samples, 2).
        times: seconds, rising within each track, shape (samples,).
        track: number of the track of each sample, from 0 without a gap and never falling, shape (samples,).
        names: of the tracks, no two alike.
        kinds: what each track is of, such as "cyclist" or "pedestrian".
        recordings: where each was recorded; tracks of one recording share place and clock.
        rates: samples a second of each track, as its source states them, Hz.
        repairs: what was mended in reading, by what it was, and how often.
        one_clock: whether times of one recording are of one clock; if not, each track's begin anew.

    Raises:
        InputError: if these do not fit together.
    """

    positions: Float64[np.ndarray, "samples 2"]
    times: Float64[np.ndarray, " samples"]
    track: Int64[np.ndarray, " samples"]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    recordings: tuple[str, ...]
    rates: tuple[float, ...]
    repairs: Mapping[str, int] = dataclasses.field(default_factory=dict)
    one_clock: bool = True

    def __post_init__(self) -> None:
        count = len(self.names)
        sizes = {len(part) for part in (self.kinds, self.recordings, self.rates)} | {count}
        samples = {len(part) for part in (self.positions, self.times, self.track)}
        if len(sizes) > 1 or len(samples) > 1:
            raise InputError(
                f"got {sorted(samples)} samples and {sorted(sizes)} tracks; one entry per sample and per track"
            )
        if repeated := [name for name, times in Counter(self.names).items() if times > 1]:
            raise InputError(f"got two tracks named {shown(repeated[0])}; give each track a name of its own")
        if not np.isin(np.arange(count), self.track).all() or (len(self.track) and self.track[0] != 0):
            raise InputError("got a track without samples; leave it out")
        steps = np.diff(self.track)
        if ((steps < 0) | (steps > 1)).any() or (len(self.track) and self.track[-1] != count - 1):
            raise InputError("got samples of tracks that are mixed; give one track after another")
        for what, values, most in (("positions", self.positions, FARTHEST), ("times", self.times, LATEST)):
            if not (np.abs(values) < most).all():
                raise InputError(f"got {what} that are not finite, or beyond {most:g}; metres and seconds")
        if (np.diff(self.times)[steps == 0] <= 0).any():
            late = self.names[int(self.track[1:][(steps == 0) & (np.diff(self.times) <= 0)][0])]
            raise InputError(f"track {shown(late)} goes back in time, or stays; times must rise within a track")
        if strange := [rate for rate in self.rates if not 0 < rate < HIGHEST_RATE]:
            raise InputError(
                f"got a frame rate that is not positive, or beyond all measure: {shown(strange[0])}; give samples a "
                f"second, below {HIGHEST_RATE:g} Hz"
            )

    @property
    def num_tracks(self) -> int:
        """How many tracks."""
        return len(self.names)

    @property
    def starts(self) -> Int64[np.ndarray, " tracks_and_one"]:
        """Where the samples of each track begin, and where those of the last one end."""
        return np.searchsorted(self.track, np.arange(self.num_tracks + 1)).astype(np.int64)

    def select(self, tracks: Sequence[int]) -> TrackData:
        """Some tracks, in the order given, renumbered.

        Raises:
            InputError: if one is out of range or given twice.
        """
        if len(set(tracks)) != len(tracks) or not all(0 <= number < self.num_tracks for number in tracks):
            raise InputError(f"got tracks {shown(list(tracks))}; give different numbers in [0, {self.num_tracks})")
        starts = self.starts
        rows = [np.arange(starts[number], starts[number + 1]) for number in tracks]
        index = np.concatenate(rows) if rows else np.empty(0, np.int64)
        lengths = [len(part) for part in rows]
        chosen: dict[str, Any] = {
            name: tuple(getattr(self, name)[number] for number in tracks)
            for name in ("names", "kinds", "recordings", "rates")
        }
        return TrackData(
            self.positions[index], self.times[index], np.repeat(np.arange(len(tracks)), lengths), **chosen,
            repairs=self.repairs, one_clock=self.one_clock,
        )  # fmt: skip

    def of_kind(self, kind: str) -> TrackData:
        """The tracks of one kind.

        Raises:
            InputError: if there are none; the message says which kinds there are.
        """
        found = [number for number, its in enumerate(self.kinds) if its == kind]
        if not found:
            raise InputError(f"got kind={shown(kind)}; there are {', '.join(sorted(set(self.kinds))) or 'no tracks'}")
        return self.select(found)


def joined(parts: Sequence[TrackData], sources: Sequence[str] | None = None) -> TrackData:
    """Several tables as one; repairs are added up.

    Args:
        parts: the tables.
        sources: what each was read from, for messages.

    Raises:
        InputError: if two tracks have one name.
    """
    whose: dict[str, str] = {}
    for part, source in zip(parts, sources or (), strict=sources is not None):
        for name in part.names:
            if name in whose:
                raise InputError(
                    f"{whose[name]} and {source} each have a track named {shown(name)}; give one another name"
                )
        whose |= dict.fromkeys(part.names, source)
    first = np.cumsum([0, *(part.num_tracks for part in parts)])
    texts: dict[str, Any] = {
        name: tuple(value for part in parts for value in getattr(part, name))
        for name in ("names", "kinds", "recordings", "rates")
    }
    return TrackData(
        np.concatenate([np.empty((0, 2)), *(part.positions for part in parts)]),
        np.concatenate([np.empty(0), *(part.times for part in parts)]),
        np.concatenate([np.empty(0, np.int64), *(part.track + n for part, n in zip(parts, first, strict=False))]),
        **texts,
        repairs=dict(sum((Counter(part.repairs) for part in parts), Counter[str]())),
        one_clock=all(part.one_clock for part in parts),
    )
