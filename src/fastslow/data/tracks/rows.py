"""From the rows of a file to tracks: put in order, mended where that is safe, counted, and refused where it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from fastslow.data.tracks.base import FARTHEST, HIGHEST_RATE, LATEST, TrackData
from fastslow.errors import InputError, shown

#: Repairs, by what is counted.
UNORDERED, REPEATED, SHORT = "rows out of order", "rows of a moment that was there already", "tracks of one sample"


class TrackRows(NamedTuple):
    """The rows of one file, and what is said of its tracks.

    Attributes:
        name: of the file, for messages.
        track: number of the track of each row, from 0, in whatever order.
        times: seconds.
        positions: metres, shape (rows, 2).
        lines: the line of the file that each row stands on, from 1.
        names: of the tracks.
        kinds: likewise.
        recordings: likewise.
        rates: likewise, Hz.
    """

    name: str
    track: Int64[np.ndarray, " rows"]
    times: Float64[np.ndarray, " rows"]
    positions: Float64[np.ndarray, "rows 2"]
    lines: Int64[np.ndarray, " rows"]
    names: Sequence[str]
    kinds: Sequence[str]
    recordings: Sequence[str]
    rates: Sequence[float]


def as_tracks(rows: TrackRows) -> TrackData:
    """Tracks from rows.

    Rows are put in the order of time. Of several rows of one moment the first is kept. Tracks of one sample, which have
    no motion, are left out. Each of these is counted in `TrackData.repairs`.

    Raises:
        InputError: if a number is not finite, or beyond all measure, or two tracks have one name; the message has the
            file and the line.
    """
    values = np.column_stack([rows.times, rows.positions])
    if strange := np.flatnonzero(~(np.abs(values) < [LATEST, FARTHEST, FARTHEST]).all(1)).tolist():
        row = strange[0]
        raise InputError(
            f"{rows.name}, line {rows.lines[row]}: got t={rows.times[row]}, x={rows.positions[row, 0]}, "
            f"y={rows.positions[row, 1]}; finite numbers were expected, below {LATEST:g} s and {FARTHEST:g} m: remove "
            "the row, or mend it"
        )
    repairs: Counter[str] = Counter()
    by_track = np.argsort(rows.track, kind="stable")
    order = np.lexsort((rows.times, rows.track))
    fell = (np.diff(rows.times[by_track]) < 0) & (np.diff(rows.track[by_track]) == 0)
    repairs[UNORDERED] = int(fell.sum())
    track, times, positions = rows.track[order], rows.times[order], rows.positions[order]
    again = (
        np.concatenate([[False], (np.diff(track) == 0) & (np.diff(times) == 0)]) if len(track) else np.empty(0, bool)
    )
    repairs[REPEATED] = int(again.sum())
    track, times, positions = track[~again], times[~again], positions[~again]
    counts = np.bincount(track, minlength=len(rows.names))
    repairs[SHORT] = int((counts == 1).sum())
    kept = np.flatnonzero(counts > 1).tolist()
    _refuse_tracks(rows, kept)
    number = np.full(len(rows.names), -1)
    number[kept] = np.arange(len(kept))
    inside = number[track] >= 0
    return TrackData(
        positions[inside], times[inside], number[track[inside]],
        names=tuple(rows.names[k] for k in kept), kinds=tuple(rows.kinds[k] for k in kept),
        recordings=tuple(rows.recordings[k] for k in kept), rates=tuple(float(rows.rates[k]) for k in kept),
        repairs={what: count for what, count in repairs.items() if count},
    )  # fmt: skip


def _refuse_tracks(rows: TrackRows, kept: Sequence[int]) -> None:
    """Refuses two tracks of one name, and stamps of which no one takes so many a second; those left out aside."""
    first: dict[str, int] = {}
    for number in kept:
        name, rate = rows.names[number], rows.rates[number]
        if first.setdefault(name, number) != number:
            here, there = (rows.lines[(rows.track == which).argmax()] for which in (number, first[name]))
            raise InputError(
                f"{rows.name}, line {here}: this track and that of line {there} are both named {shown(name)}; give one "
                "of them, or of their recordings, another name"
            )
        if not 0 < rate < HIGHEST_RATE:
            raise InputError(
                f"{rows.name}, line {rows.lines[(rows.track == number).argmax()]}: track {shown(name)} has {rate:.3g} "
                f"samples a second; fewer than {HIGHEST_RATE:g} were expected: give time in seconds"
            )
