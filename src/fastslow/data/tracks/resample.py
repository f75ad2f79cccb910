"""Tracks at one rate, and windows of them: what was seen, and what followed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from fastslow.data.checks import refuse_unless_whole
from fastslow.data.tracks.base import TrackData
from fastslow.errors import InputError, shown

#: A step longer than so many of a track's own is a gap.
GAP = 1.5
#: The most samples that are made.
MOST_SAMPLES = 2**24
#: Windows at a time.
_MOMENTS = 2**12
#: Repairs, by what is counted.
GAPS, SHORT = "gaps at which a track was divided", "pieces too short for two samples at the new rate"
#: Stamps of files are rounded: to hundredths of a second, in some.
_ROUNDING = 1e-6


def resampled(tracks: TrackData, rate: float, *, gap: float = GAP, bridged: float = 0.0) -> TrackData:
    """Tracks with samples at even times, by linear interpolation between the two around each.

    A track is divided where two samples are further apart than `gap` of its own steps, and than `bridged`: nothing is
    made up there.
    Samples begin at the first stamp of each piece. First pieces keep the name of their track; others are named
    "NAME#2", "NAME#3", ..., with as many "#" as it takes for names that no track has.

    Args:
        tracks: at whatever rates.
        rate: samples a second, Hz.
        gap: see above, in steps of 1 / `TrackData.rates`.
        bridged: likewise, in seconds.

    Raises:
        InputError: if rate or gap is not positive, or there would be over 16 million samples.
    """
    if not (0 < rate < np.inf and gap > 0):
        raise InputError(f"got rate={shown(rate)}, gap={shown(gap)}; positive numbers were expected, Hz and steps")
    pieces, gaps = _pieces(tracks, gap, bridged)
    _refuse_too_many(tracks, pieces, rate)
    parts: list[np.ndarray] = []
    times: list[np.ndarray] = []
    names: list[str] = []
    source: list[int] = []
    mark = _mark(tracks.names)
    for number, piece, rows in pieces:
        t, xy = tracks.times[rows], tracks.positions[rows]
        count = int((t[-1] - t[0]) * rate + _ROUNDING) + 1
        if count > 1:
            moments = t[0] + np.arange(count) / rate
            parts.append(np.column_stack([np.interp(moments, t, xy[:, axis]) for axis in (0, 1)]))
            times.append(moments)
            names.append(tracks.names[number] if piece == 1 else f"{tracks.names[number]}{mark}{piece}")
            source.append(number)
    counted = ((GAPS, gaps), (SHORT, len(pieces) - len(parts)))
    repairs = {**tracks.repairs, **{what: count for what, count in counted if count}}
    return TrackData(
        np.concatenate([np.empty((0, 2)), *parts]), np.concatenate([np.empty(0), *times]),
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]), tuple(names),
        tuple(tracks.kinds[k] for k in source), tuple(tracks.recordings[k] for k in source),
        tuple(float(rate) for _ in source), repairs, tracks.one_clock,
    )  # fmt: skip


def first_pieces(tracks: TrackData, even: TrackData) -> list[int]:
    """Which tracks of `resampled(tracks, ...)` are the first piece of one, or all of it: their numbers, rising.

    Args:
        tracks: as they were.
        even: what was made of them.
    """
    known = set(tracks.names)  # no later piece has a name of these
    return [number for number, name in enumerate(even.names) if name in known]


def _pieces(tracks: TrackData, gap: float, bridged: float) -> tuple[list[tuple[int, int, slice]], int]:
    """Track, which piece of it from 1, and rows of each piece without a gap; and how many gaps there are."""
    found, gaps, starts = [], 0, tracks.starts.tolist()
    for number in range(tracks.num_tracks):
        first, end = starts[number], starts[number + 1]
        longest = max(gap / tracks.rates[number], bridged)
        cuts = np.flatnonzero(np.diff(tracks.times[first:end]) > longest + _ROUNDING) + 1 + first
        gaps += len(cuts)
        edges = itertools.pairwise([first, *cuts.tolist(), end])
        found += [(number, piece, slice(at, stop)) for piece, (at, stop) in enumerate(edges, 1)]
    return found, gaps


def _refuse_too_many(tracks: TrackData, pieces: list[tuple[int, int, slice]], rate: float) -> None:
    """Refuses what would be more samples than there is memory for: as of two stamps that are a year apart."""
    spans = [float(tracks.times[rows.stop - 1] - tracks.times[rows.start]) for _, _, rows in pieces]
    if sum(spans) * rate + len(spans) <= MOST_SAMPLES:
        return
    longest = max(range(len(spans)), key=spans.__getitem__)
    number = pieces[longest][0]
    raise InputError(
        f"got rate={rate:g} for {sum(spans):.4g} s of tracks; at most {MOST_SAMPLES} samples were expected: give a "
        f"lower rate or fewer tracks (track {shown(tracks.names[number])} alone has {spans[longest]:.4g} s, in steps "
        f"of {1 / tracks.rates[number]:.3g} s)"
    )


def _mark(names: Sequence[str]) -> str:
    """What parts a name from the number of its piece: so many "#" as none of the names has."""
    mark = "#"
    while any(mark in name for name in names):
        mark += "#"
    return mark


class Windows(NamedTuple):
    """Pieces of tracks of one length.

    Attributes:
        seen: positions that are known, metres, shape (windows, seen, 2).
        future: those that followed, shape (windows, future, 2).
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
    seen, future = refuse_unless_whole("seen", seen, 2), refuse_unless_whole("future", future, 1)
    every = None if every is None else refuse_unless_whole("every", every, 1)
    length = seen + future
    at = _starts_of(tracks, length, every)
    rows = tracks.positions[at[:, None] + np.arange(length)]
    return Windows(rows[:, :seen], rows[:, seen:], tracks.track[at], tracks.times[at])


def moments_of(tracks: TrackData, *, length: int, every: int) -> Iterator[Float64[np.ndarray, "moments samples 2"]]:
    """All windows of tracks of one rate, as `windows_of` finds them, so few at a time that there is room for them.

    Args:
        tracks: see `resampled`.
        length: samples of a window.
        every: samples from the start of one window to the next.

    Yields:
        Positions, metres; at least one window.
    """
    at = _starts_of(tracks, length, every)
    for block in range(0, len(at), _MOMENTS):
        yield tracks.positions[at[block : block + _MOMENTS, None] + np.arange(length)]


def _starts_of(tracks: TrackData, length: int, every: int | None) -> Int64[np.ndarray, " windows"]:
    """The first sample of each window."""
    edges = itertools.pairwise(tracks.starts.tolist())
    first = [np.arange(at, stop - length + 1, every or max(1, stop - at)) for at, stop in edges]
    return np.concatenate([np.empty(0, np.int64), *first])
