"""Tracks at one rate, and windows of them: what was seen, and what came then."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from fastslow.data.checks import refuse_unless_whole
from fastslow.data.tracks.base import TrackData
from fastslow.errors import InputError, shown

#: A step longer than so many of a track's own is a gap.
GAP = 1.5
#: Repairs, by what is counted.
GAPS, SHORT = "gaps at which a track was divided", "pieces too short for two samples at the new rate"
#: Stamps of files are rounded: to hundredths of a second, in some.
_ROUNDING = 1e-6


def resampled(tracks: TrackData, rate: float, *, gap: float = GAP) -> TrackData:
    """Tracks with samples at even times, by linear interpolation between the two around each.

    A track is divided where two samples are further apart than `gap` of its own steps: nothing is made up there.
    Samples begin at the first stamp of each piece. Pieces after the first are named "NAME#2", "NAME#3", ...

    Args:
        tracks: at whatever rates.
        rate: samples a second, Hz.
        gap: see above, in steps of 1 / `TrackData.rates`.

    Raises:
        InputError: if rate or gap is not positive.
    """
    if not (0 < rate < np.inf and gap > 0):
        raise InputError(f"got rate={shown(rate)}, gap={shown(gap)}; positive numbers were expected, Hz and steps")
    parts: list[np.ndarray] = []
    times: list[np.ndarray] = []
    names: list[str] = []
    source: list[int] = []
    gaps = short = 0
    starts = tracks.starts.tolist()
    for number in range(tracks.num_tracks):
        rows = slice(starts[number], starts[number + 1])
        t, xy = tracks.times[rows], tracks.positions[rows]
        cuts = np.flatnonzero(np.diff(t) > gap / tracks.rates[number] + _ROUNDING) + 1
        gaps += len(cuts)
        for piece, (at, stop) in enumerate(zip([0, *cuts], [*cuts, len(t)], strict=True), 1):
            count = int((t[stop - 1] - t[at]) * rate + _ROUNDING) + 1
            if count < 2:
                short += 1
                continue
            moments = t[at] + np.arange(count) / rate
            parts.append(np.column_stack([np.interp(moments, t[at:stop], xy[at:stop, axis]) for axis in (0, 1)]))
            times.append(moments)
            names.append(tracks.names[number] if piece == 1 else f"{tracks.names[number]}#{piece}")
            source.append(number)
    repairs = {**tracks.repairs, **{what: count for what, count in ((GAPS, gaps), (SHORT, short)) if count}}
    return TrackData(
        np.concatenate([np.empty((0, 2)), *parts]), np.concatenate([np.empty(0), *times]),
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]), tuple(names),
        tuple(tracks.kinds[k] for k in source), tuple(tracks.recordings[k] for k in source),
        tuple(float(rate) for _ in source), repairs, tracks.one_clock,
    )  # fmt: skip


def is_first_piece(name: str) -> bool:
    """Whether a track of `resampled` is the first piece of one, or all of it."""
    return "#" not in name


class Windows(NamedTuple):
    """Pieces of tracks of one length.

    Attributes:
        seen: positions that are known, metres, shape (windows, seen, 2).
        future: those that came then, shape (windows, future, 2).
        track: number of each window's track.
        start: time of its first sample, seconds.
    """

    seen: Float64[np.ndarray, "windows seen 2"]
    future: Float64[np.ndarray, "windows future 2"]
    track: Int64[np.ndarray, " windows"]
    start: Float64[np.ndarray, " windows"]


def windows_of(tracks: TrackData, *, seen: int = 50, future: int = 50, every: int | None = None) -> Windows:
    """Windows of tracks of one rate: the first of each track, or one every so many samples.

    Args:
        tracks: see `resampled`; shorter ones than a window have none.
        seen: samples that are known, at least 2.
        future: samples after them, at least 1.
        every: samples from the start of one window to the next; None for the first of each track alone.

    Raises:
        InputError: if a number is out of range.
    """
    refuse_unless_whole("seen", seen, 2)
    refuse_unless_whole("future", future, 1)
    refuse_unless_whole("every", 1 if every is None else every, 1)
    length = seen + future
    edges = itertools.pairwise(tracks.starts.tolist())
    first = [np.arange(at, stop - length + 1, every or max(1, stop - at)) for at, stop in edges]
    at = np.concatenate([np.empty(0, np.int64), *first])
    rows = tracks.positions[at[:, None] + np.arange(length)]
    return Windows(rows[:, :seen], rows[:, seen:], tracks.track[at], tracks.times[at])
